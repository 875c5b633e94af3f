"""The types of matrices, one a file. A rule about two types is in the later one's file."""
