# Programs for measuring; not tests, not installed.
BENCH_TUNNEL_SRC := tests/bench/bench_tunnel.c ipsecd/esp_udp.c $(filter ipsecd/net/udp%,$(NET_SRC)) $(DATAPLANE_SRC) $(CRYPTO_SRC) $(THREADS_SRC) \
	ipsecd/model/algorithm.c ipsecd/model/ts.c ipsecd/model/tunnel_config.c lib/addr.c lib/buf.c lib/log.c lib/mono.c lib/private_memory.c \
	$(NETLINK_SRC)

$(BUILD)/bench/bench_tunnel: $(call objects,$(BENCH_TUNNEL_SRC))
	$(call link,-lcrypto -lnftnl -lmnl -lev $(THREADS_LIBS))

$(BUILD)/bench/bench_segments: $(call objects,tests/bench/bench_segments.c tests/support/packets.c \
		$(addprefix ipsecd/dataplane/,cut.c coalesce.c checksum.c fq.c inner.c) lib/addr.c lib/buf.c)
	$(call link,)

$(BUILD)/bench/bench_ike: $(call objects,tests/bench/bench_ike.c $(CRYPTO_SRC)) \
		$(BUILD)/libike.a $(BUILD)/libdetour.a
	$(call link,-lcrypto)

$(BUILD)/bench/udp_rate: $(OBJ)/tests/bench/udp_rate.o
	$(call link,)

$(BUILD)/bench/bare_tunnel: $(OBJ)/tests/bench/bare_tunnel.o
	$(call link,-lcrypto)

$(BUILD)/bench/bare_devices: $(OBJ)/tests/bench/bare_devices.o
	$(call link,-lmnl)

# The table of paths with its BMP listener: for tests/interop/test_bmp.py, too.
BMP_TABLE_SRC := tests/bench/bmp_table.c $(addprefix routed-bridge/,bmp_listener.c bmp_feed.c bmp_resync.c \
	bmp.c bgp_update.c bgp_message.c bgp_json.c paths.c tcp_owner.c vty.c vty_frame.c)

$(BUILD)/bench/bmp_table: $(call objects,$(BMP_TABLE_SRC)) $(BUILD)/libdetour.a
	$(call link,-lev -ljansson)

-include $(patsubst %,$(OBJ)/tests/bench/%.d,bench_tunnel bench_segments bench_ike udp_rate bare_tunnel bare_devices bmp_table)

.PHONY: bench bench-tunnel bench-segments bench-paths bench-bridge
bench: ## speed, memory, handshakes beside rivals and bare tunnels, 10 minutes (root) [ROUNDS= ONLY=rows PEERS=]
	@mk/deps.sh build lab bench
	@for rival in strongswan openvpn wireguard-go; do \
		mk/deps.sh $$rival || echo "bench: no $$rival: its rows will fail"; done
	@$(MAKE) --no-print-directory all $(addprefix $(BUILD)/bench/,bare_tunnel bench_ike udp_rate)
	@tests/bench/run $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ONLY),--only $(ONLY)) $(if $(PEERS),--peers $(PEERS))

bench-tunnel: $(BUILD)/bench/bench_tunnel ## throughput and CPU of the userspace plane, IKE left out (root)
	@tests/bench/tunnel $<

bench-segments: $(BUILD)/bench/bench_segments ## what cutting and joining segments costs, without a system call
	@$<

bench-paths: $(BUILD)/bench/bmp_table ## 100,000 prefixes x 3 peers by BMP: time, memory, a peer's end
	@tests/bench/bmp_feed.py
	@tests/bench/bmp_feed.py 10000 3

bench-bridge: ## routed-bridge with 1,000 tunnels and 100,000 BGP routes: memory, restarts, repair (root)
	@mk/deps.sh build lab
	@$(MAKE) --no-print-directory all
	@tests/bench/bridge
