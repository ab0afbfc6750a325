# mod_wisehost: its part of the one Makefile
