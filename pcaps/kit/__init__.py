"""What the makers share: conversations, websocket frames, DEFLATE, capture files, and the truth beside them."""
