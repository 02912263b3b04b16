FUZZ_fuzz_vici := tests/fuzz/fuzz_vici.c lib/vici_codec.c lib/buf.c
