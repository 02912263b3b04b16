# Instructions of a handshake and of packets (tests/count/run).
COUNT_SRC := tests/count/count.c $(DATAPLANE_SRC) $(IKE_SRC) $(WIRE_SRC) $(CRYPTO_SRC) \
	$(MODEL_SRC) lib/addr.c lib/buf.c lib/log.c lib/mono.c lib/table.c lib/words.c lib/private_memory.c \
	$(THREADS_SRC) $(NETLINK_SRC)

$(BUILD)/tests/count: $(call objects,$(COUNT_SRC))
	$(call link,-lcrypto -lnftnl -lmnl -lev -lpthread $(THREADS_LIBS))

-include $(OBJ)/tests/count/count.d

.PHONY: count count-baseline
count: $(BUILD)/tests/count ## instructions of a handshake and of 1,000 packets, beside what they were
	@tests/count/run $<

count-baseline: $(BUILD)/tests/count ## what they are now is what they are compared with from now on
	@tests/count/run $< --write
