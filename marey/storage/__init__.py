"""Where bytes lie: urls, files replaced as a whole, locks."""
