# docs: its part of the one Makefile
