"""Host names that clients hard-code, answered here (`connect`) with our own certificate (`ca`)."""
