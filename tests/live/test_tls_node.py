"""Node's TLS, captured live on loopback and read with the key log that `--tls-keylog` writes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.live.live_openssl import free_port
from tests.live.live_tls import Capture, make_certificates, read
from tests.live.live_tools import LIVE

pytestmark = [*LIVE, pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")]

NODE = """
const tls = require('tls'), fs = require('fs'), [folder, port, version] = process.argv.slice(1)
const pem = fs.readFileSync(folder + '/ecdsa.pem'), lines = n => Array.from({length: n}, (_, i) => 'x'.repeat(i * 97) + i)
const server = tls.createServer({key: pem, cert: pem, minVersion: version, maxVersion: version}, socket => {
  socket.on('data', data => { socket.write('seen ' + data.length + ';') }); socket.on('end', () => server.close())
}).listen(port, '127.0.0.1', () => {
  const client = tls.connect({port, host: '127.0.0.1', rejectUnauthorized: false}), said = lines(20)
  let heard = ''
  client.on('data', data => { heard += data; said.length ? client.write(said.shift()) : client.end() })
  client.on('close', () => console.log(JSON.stringify({client: 'first' + lines(20).join(''), server: heard})))
  client.write('first')
})
"""


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_node(tmp_path: Path, version: str) -> None:
    """Both ends are Node, started with `--tls-keylog`."""
    make_certificates(tmp_path)
    port, keys = free_port(), tmp_path / "keys.log"
    with Capture([port]) as capture:
        command = ["node", f"--tls-keylog={keys}", "-e", NODE, str(tmp_path), str(port), version]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    (heard,) = read(capture.packets, keys.read_bytes())
    assert len(said["client"]) > 10_000
    assert (heard.client.decode(), heard.server.decode()) == (said["client"], said["server"])
    assert (heard.losses, heard.layer.version) == ([], version)
