"""Host names that clients hard-code: answered here (`connect`) with a certificate of our own (`ca`)."""
