package output

// Deferred says that the output that c asks for is a Deferred.
func (c *Config) Deferred() bool { return c.Splunk != nil && c.Splunk.Ack }

// Compressed says that c asks for bodies to be packed as gzip or zstd, which gain from larger batches. Snappy does not.
func (c *Config) Compressed() bool {
	_, h := c.overHTTP()
	return h != nil && (h.Compression == "gzip" || h.Compression == "zstd")
}
