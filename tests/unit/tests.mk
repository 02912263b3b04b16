TEST_test_vici_codec := tests/unit/test_vici_codec.c lib/vici_codec.c lib/buf.c
