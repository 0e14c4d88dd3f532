package output

// Compressed says that c asks for bodies to be packed as gzip or zstd, which gain from larger batches. Snappy does not.
func (c *Config) Compressed() bool {
	_, h := c.overHTTP()
	return h != nil && (h.Compression == "gzip" || h.Compression == "zstd")
}
