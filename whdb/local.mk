# whdb: its part of the one Makefile
