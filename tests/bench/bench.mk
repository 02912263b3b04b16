# Programs for measuring; not tests, not installed. tests/bench/tunnel runs this one.
BENCH_TUNNEL_SRC := tests/bench/bench_tunnel.c ipsecd/net/udp.c $(DATAPLANE_SRC) $(CRYPTO_SRC) \
	ipsecd/model/algorithm.c ipsecd/model/ts.c lib/addr.c lib/buf.c lib/log.c lib/netlink.c \
	lib/netlink_message.c

$(BUILD)/bench/bench_tunnel: $(call objects,$(BENCH_TUNNEL_SRC))
	$(call link,-lcrypto -lmnl -lev)
-include $(patsubst %.c,$(OBJ)/%.d,tests/bench/bench_tunnel.c)

.PHONY: bench-tunnel
bench-tunnel: $(BUILD)/bench/bench_tunnel ## throughput and CPU of the userspace plane, IKE left out (root)
	@tests/bench/tunnel $<
