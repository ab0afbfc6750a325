# libwh: its part of the one Makefile
