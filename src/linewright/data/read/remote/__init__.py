"""Files in buckets and on the web, and rows of REST services: what is read from other hosts."""
