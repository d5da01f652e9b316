"""Link types, encapsulations and IP."""
