"""The compiled loops, one idea a file; each trusts its caller and has a naive twin in the tests."""
