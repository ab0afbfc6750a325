# wh-agent: its part of the one Makefile
