TEST_test_vici_codec := tests/unit/test_vici_codec.c lib/vici_codec.c lib/buf.c
TEST_test_vici_client := tests/unit/test_vici_client.c lib/vici_client.c lib/vici_stream.c lib/vici_codec.c lib/buf.c lib/mono.c lib/unix_socket.c
TEST_test_crypto := tests/unit/test_crypto.c tests/support/crypto_null.c ipsecd/model/algorithm.c \
	$(CRYPTO_SRC)
LIBS_test_crypto := -lcrypto
TEST_test_wire := tests/unit/test_wire.c tests/support/wire_echo.c $(WIRE_SRC) ipsecd/model/id.c lib/buf.c lib/addr.c lib/words.c
TEST_test_model := tests/unit/test_model.c $(MODEL_SRC) lib/addr.c lib/words.c
TEST_test_conn_digest := tests/unit/test_conn_digest.c $(MODEL_SRC) lib/addr.c lib/words.c
TEST_test_proposals := tests/unit/test_proposals.c $(MODEL_SRC) lib/addr.c lib/words.c
TEST_test_proposal := tests/unit/test_proposal.c ipsecd/model/proposal.c ipsecd/model/proposal_words.c \
	ipsecd/model/algorithm.c
# A plane that does ESP itself, without devices.
FORWARD_SRC := $(addprefix ipsecd/dataplane/,forward.c forward_lane.c forward_out.c forward_in.c forward_child.c forward_restore.c \
	forward_aggfrag.c aggfrag_pack.c aggfrag_open.c aggfrag_rate.c \
	batch.c match.c held.c cut.c coalesce.c checksum.c area.c area_slot.c sadb.c esp.c replay.c inner.c outer.c mtu.c counters.c)
TEST_test_tunnel := tests/unit/test_tunnel.c ipsecd/tunnel.c ipsecd/tunnel_ahead.c ipsecd/tunnel_addrs.c ipsecd/tunnel_device.c ipsecd/dataplane/fake.c \
	$(FORWARD_SRC) tests/support/crypto_null.c \
	$(MODEL_SRC) lib/addr.c lib/buf.c lib/log.c lib/table.c lib/words.c
TEST_test_drain := tests/unit/test_drain.c ipsecd/drain.c $(filter-out tests/unit/%,$(TEST_test_tunnel))
LIBS_test_drain := -lev
TEST_test_plane := tests/unit/test_plane.c ipsecd/plane.c ipsecd/offer.c $(MODEL_SRC) lib/addr.c lib/log.c lib/words.c
TEST_test_backoff := tests/unit/test_backoff.c ipsecd/backoff.c
TEST_test_keep := tests/unit/test_keep.c ipsecd/keep.c
TEST_test_crash_secret := tests/unit/test_crash_secret.c ipsecd/crash_secret.c ipsecd/crypto/random.c
LIBS_test_crash_secret := -lcrypto
TEST_test_script := tests/unit/test_script.c ipsecd/script.c lib/log.c lib/mono.c
LIBS_test_script := -lev
TEST_test_updown := tests/unit/test_updown.c ipsecd/updown.c ipsecd/updown_env.c $(MODEL_SRC) \
	lib/addr.c lib/words.c
TEST_test_pool := tests/unit/test_pool.c $(POOL_SRC) ipsecd/model/vip.c ipsecd/model/id.c lib/addr.c lib/words.c
TEST_test_route_claims := tests/unit/test_route_claims.c ipsecd/routes.c ipsecd/routes_links.c ipsecd/model/ts.c \
	lib/addr.c lib/log.c lib/table.c
TEST_test_area := tests/unit/test_area.c $(addprefix ipsecd/dataplane/,area.c area_slot.c area_map.c replay.c) lib/addr.c lib/private_memory.c
TEST_test_held := tests/unit/test_held.c ipsecd/dataplane/held.c lib/addr.c
TEST_test_replay := tests/unit/test_replay.c ipsecd/dataplane/replay.c
TEST_test_esp := tests/unit/test_esp.c ipsecd/dataplane/esp.c ipsecd/dataplane/mtu.c ipsecd/model/algorithm.c \
	$(CRYPTO_SRC)
LIBS_test_esp := -lcrypto
TEST_test_icmp := tests/unit/test_icmp.c ipsecd/net/icmp_message.c lib/addr.c
TEST_test_udp_frame := tests/unit/test_udp_frame.c ipsecd/net/udp_frame.c
TEST_test_outer := tests/unit/test_outer.c ipsecd/dataplane/outer.c
TEST_test_quality := tests/unit/test_quality.c routed-bridge/quality.c
TEST_test_probe := tests/unit/test_probe.c routed-bridge/probe_message.c routed-bridge/prefix_list.c lib/addr.c
TEST_test_aggfrag := tests/unit/test_aggfrag.c ipsecd/model/aggfrag.c $(addprefix ipsecd/dataplane/,aggfrag_pack.c aggfrag_open.c aggfrag_rate.c)
TEST_test_cut := tests/unit/test_cut.c tests/support/packets.c $(addprefix ipsecd/dataplane/,cut.c checksum.c)
TEST_test_coalesce := tests/unit/test_coalesce.c tests/support/packets.c $(addprefix ipsecd/dataplane/,coalesce.c cut.c checksum.c)
TEST_test_fq := tests/unit/test_fq.c tests/support/packets.c $(addprefix ipsecd/dataplane/,fq.c inner.c) lib/addr.c lib/buf.c
TEST_test_inner := tests/unit/test_inner.c ipsecd/dataplane/inner.c lib/addr.c lib/buf.c
TEST_test_netlink := tests/unit/test_netlink.c lib/netlink_message.c lib/addr.c
LIBS_test_netlink := -lmnl
TEST_test_netlink_device := tests/unit/test_netlink_device.c lib/netlink_device_message.c \
	lib/netlink_route_message.c lib/netlink_message.c lib/addr.c
LIBS_test_netlink_device := -lmnl
XFRM_SRC := $(filter ipsecd/dataplane/xfrm_%,$(DATAPLANE_SRC))
TEST_test_xfrm_sel := tests/unit/test_xfrm_sel.c ipsecd/dataplane/xfrm_sel.c ipsecd/model/ts.c lib/addr.c
LIBS_test_xfrm_sel := -lmnl
TEST_test_kernel_policy := tests/unit/test_kernel_policy.c ipsecd/dataplane/kernel_policy.c ipsecd/dataplane/xfrm_sel.c ipsecd/model/ts.c lib/addr.c lib/log.c
LIBS_test_kernel_policy := -lmnl
TEST_test_xfrm_msg := tests/unit/test_xfrm_msg.c tests/support/xfrm_samples.c $(XFRM_SRC) ipsecd/model/algorithm.c lib/netlink_message.c lib/addr.c
LIBS_test_xfrm_msg := -lmnl
TEST_test_xfrm_event := tests/unit/test_xfrm_event.c $(XFRM_SRC) ipsecd/model/algorithm.c lib/netlink_message.c lib/addr.c
LIBS_test_xfrm_event := -lmnl
TEST_test_load_conn := tests/unit/test_load_conn.c $(addprefix ipsecd/control/,load_conn.c load_child.c load_values.c load_device.c load_iptfs.c) $(MODEL_SRC) lib/vici_codec.c lib/buf.c lib/addr.c lib/words.c
TEST_test_forward := tests/unit/test_forward.c tests/support/crypto_null.c $(FORWARD_SRC) ipsecd/model/algorithm.c ipsecd/model/ts.c lib/addr.c lib/buf.c lib/log.c
TEST_test_forward_aggfrag := tests/unit/test_forward_aggfrag.c tests/support/packets.c tests/support/crypto_null.c $(FORWARD_SRC) ipsecd/model/algorithm.c ipsecd/model/ts.c lib/addr.c lib/buf.c lib/log.c
TEST_test_log_mail := tests/unit/test_log_mail.c lib/log_mail.c lib/mailbox.c lib/log.c
LIBS_test_log_mail := -lev
TEST_test_lanes := tests/unit/test_lanes.c tests/support/crypto_null.c $(FORWARD_SRC) $(THREADS_SRC) ipsecd/model/algorithm.c ipsecd/model/ts.c \
	lib/addr.c lib/buf.c lib/log.c
LIBS_test_lanes := -lev $(THREADS_LIBS)
TEST_test_forward_super := tests/unit/test_forward_super.c tests/support/packets.c tests/support/crypto_null.c $(FORWARD_SRC) ipsecd/model/algorithm.c ipsecd/model/ts.c lib/addr.c lib/buf.c lib/log.c
TEST_test_config := tests/unit/test_config.c tests/support/conn_dump.c $(CONFIG_SRC) $(MODEL_SRC) \
	lib/addr.c lib/buf.c lib/words.c
TEST_test_reload := tests/unit/test_reload.c ipsecd/reload.c ipsecd/reload_files.c ipsecd/known.c ipsecd/net/source.c $(NETLINK_SRC) $(CONFIG_SRC) $(MODEL_SRC) \
	lib/addr.c lib/buf.c lib/log.c lib/words.c
LIBS_test_reload := -lmnl
TEST_test_recall := tests/unit/test_recall.c $(CONFIG_SRC) $(MODEL_SRC) lib/addr.c lib/buf.c lib/words.c
TEST_test_collide := tests/unit/test_collide.c ipsecd/ike/collide.c
TEST_test_zapi := tests/unit/test_zapi.c routed-bridge/zapi_version.c routed-bridge/zapi_encode.c \
	routed-bridge/zapi_parse.c routed-bridge/frr_version.c lib/addr.c lib/buf.c lib/unix_socket.c
LIBS_test_zapi := -lev
TEST_test_route_told := tests/unit/test_route_told.c $(addprefix routed-bridge/,routes.c route_told.c zapi_parse.c zapi_encode.c) \
	$(addprefix lib/,addr.c buf.c log.c)
TEST_test_kernel_routes := tests/unit/test_kernel_routes.c routed-bridge/kernel_routes.c \
	$(addprefix lib/,netlink.c netlink_link.c netlink_message.c netlink_route.c netlink_route_message.c addr.c log.c)
LIBS_test_kernel_routes := -lmnl
TEST_test_fib_check := tests/unit/test_fib_check.c routed-bridge/fib_check.c lib/addr.c
TEST_test_zapi_rows := tests/unit/test_zapi_rows.c routed-bridge/zapi_version.c routed-bridge/zapi_encode.c \
	routed-bridge/zapi_parse.c lib/addr.c lib/buf.c
TEST_test_routes := tests/unit/test_routes.c $(addprefix routed-bridge/,routes.c route_told.c interfaces.c zapi_encode.c) \
	routed-bridge/zapi_parse.c lib/addr.c lib/buf.c lib/log.c
TEST_test_bgp_update := tests/unit/test_bgp_update.c routed-bridge/bgp_update.c routed-bridge/bgp_message.c \
	lib/addr.c lib/buf.c
TEST_test_bmp := tests/unit/test_bmp.c $(addprefix routed-bridge/,bmp.c bmp_feed.c bmp_resync.c bgp_update.c bgp_message.c paths.c) \
	lib/addr.c lib/buf.c lib/log.c
TEST_test_bgp_json := tests/unit/test_bgp_json.c routed-bridge/bgp_json.c routed-bridge/paths.c lib/addr.c
LIBS_test_bgp_json := -ljansson
TEST_test_tcp_owner := tests/unit/test_tcp_owner.c routed-bridge/tcp_owner.c lib/addr.c
TEST_test_vty := tests/unit/test_vty.c routed-bridge/vty.c routed-bridge/vty_frame.c lib/unix_socket.c
LIBS_test_vty := -lev
TEST_test_paths := tests/unit/test_paths.c routed-bridge/paths.c lib/addr.c
TEST_test_control := tests/unit/test_control.c $(CONTROL_SRC) $(MODEL_SRC) ipsecd/dataplane/counters.c $(addprefix lib/,addr.c buf.c log.c mono.c queue.c unix_socket.c vici_client.c vici_codec.c vici_stream.c words.c)
LIBS_test_control := -lev
TEST_test_bridge_tunnels := tests/unit/test_bridge_tunnels.c routed-bridge/tunnels.c routed-bridge/tunnels_view.c \
	routed-bridge/vici_body.c lib/vici_codec.c lib/addr.c lib/buf.c lib/words.c
TEST_test_frr_settings := tests/unit/test_frr_settings.c routed-bridge/frr_settings.c lib/words.c
TEST_test_bridge_config := tests/unit/test_bridge_config.c $(filter routed-bridge/config%,$(BRIDGE_SRC)) lib/addr.c lib/words.c
REPAIR_SRC := $(filter routed-bridge/repair%,$(BRIDGE_SRC)) routed-bridge/tunnel_state.c routed-bridge/paths.c \
	routed-bridge/zapi_parse.c lib/addr.c lib/buf.c lib/log.c
TEST_test_repair := tests/unit/test_repair.c $(REPAIR_SRC)
LIBS_test_repair := -ljansson
TEST_test_repair_sim := tests/unit/test_repair_sim.c $(REPAIR_SRC)
LIBS_test_repair_sim := -ljansson
TEST_test_describe := tests/unit/test_describe.c routed-bridge/describe.c
TEST_test_ctl_json := tests/unit/test_ctl_json.c ipsecd/ctl/json.c lib/vici_codec.c lib/buf.c
LIBS_test_ctl_json := -ljansson
TEST_test_ctl_status := tests/unit/test_ctl_status.c $(addprefix ipsecd/ctl/,json.c model.c status.c) lib/vici_codec.c lib/buf.c lib/words.c
LIBS_test_ctl_status := -ljansson
TEST_test_keymat := tests/unit/test_keymat.c ipsecd/ike/keymat.c ipsecd/model/algorithm.c lib/buf.c \
	$(CRYPTO_SRC)
LIBS_test_keymat := -lcrypto
TEST_test_sk := tests/unit/test_sk.c ipsecd/ike/sk.c $(WIRE_SRC) ipsecd/model/algorithm.c ipsecd/model/id.c \
	lib/addr.c lib/buf.c lib/words.c $(CRYPTO_SRC)
LIBS_test_sk := -lcrypto
TEST_test_cookie := tests/unit/test_cookie.c ipsecd/ike/cookie.c tests/support/crypto_null.c \
	ipsecd/model/algorithm.c lib/addr.c lib/buf.c
TEST_test_natd := tests/unit/test_natd.c ipsecd/ike/natd.c $(WIRE_SRC) ipsecd/model/algorithm.c \
	ipsecd/model/id.c lib/addr.c lib/buf.c lib/words.c $(CRYPTO_SRC)
LIBS_test_natd := -lcrypto
TEST_test_secrets := tests/unit/test_secrets.c ipsecd/ike/secrets.c ipsecd/model/secret.c ipsecd/model/id.c lib/addr.c lib/buf.c
TEST_test_table := tests/unit/test_table.c lib/table.c
TEST_test_timer := tests/unit/test_timer.c ipsecd/ike/timer.c
TEST_test_window := tests/unit/test_window.c ipsecd/ike/window.c ipsecd/ike/timer.c
TEST_test_transitions := tests/unit/test_transitions.c ipsecd/ike/transitions.c $(WIRE_SRC) \
	ipsecd/model/id.c lib/addr.c lib/buf.c lib/words.c
TEST_test_conn_index := tests/unit/test_conn_index.c ipsecd/ike/conn_index.c lib/addr.c
TEST_test_resolve := tests/unit/test_resolve.c ipsecd/net/resolve.c lib/addr.c
LIBS_test_resolve := -lcares -lev
TEST_test_source := tests/unit/test_source.c ipsecd/net/source.c $(NETLINK_SRC) lib/addr.c
LIBS_test_source := -lmnl
TEST_test_background := tests/unit/test_background.c ipsecd/background.c
TEST_test_private_memory := tests/unit/test_private_memory.c lib/private_memory.c
TEST_test_notify := tests/unit/test_notify.c lib/notify.c lib/mono.c
LIBS_test_notify := -lsystemd
TEST_test_words := tests/unit/test_words.c lib/words.c
TEST_test_send_errors := tests/unit/test_send_errors.c ipsecd/send_errors.c lib/addr.c lib/buf.c
TEST_test_vti := tests/unit/test_vti.c ipsecd/dataplane/vti.c ipsecd/dataplane/vti_alias.c ipsecd/dataplane/device.c \
	$(NETLINK_SRC) lib/addr.c lib/log.c
LIBS_test_vti := -lmnl
TEST_test_metrics := tests/unit/test_metrics.c tests/support/metrics_check.c lib/metrics.c lib/metrics_process.c
TEST_test_metrics_quality := tests/unit/test_metrics_quality.c tests/support/metrics_check.c lib/metrics.c \
	routed-bridge/bridge_metrics_quality.c
TEST_test_bridge_bfd := tests/unit/test_bridge_bfd.c routed-bridge/bridge_bfd.c lib/addr.c lib/log.c
LIBS_test_bridge_bfd := -lev
TEST_test_device_users := tests/unit/test_device_users.c routed-bridge/device_users.c
TEST_test_bridge_claims := tests/unit/test_bridge_claims.c \
	$(addprefix routed-bridge/bridge_,claims.c zebra.c kernel.c) \
	$(addprefix routed-bridge/,device_users.c interfaces.c routes.c route_told.c zapi_encode.c zapi_parse.c) \
	routed-bridge/zapi_version.c \
	$(filter routed-bridge/config%,$(BRIDGE_SRC)) $(addprefix lib/,addr.c buf.c log.c mono.c words.c)
LIBS_test_bridge_claims := -lev
TEST_test_metrics_http := tests/unit/test_metrics_http.c lib/metrics.c lib/metrics_http.c lib/addr.c lib/log.c lib/mono.c
LIBS_test_metrics_http := -lmicrohttpd -lev
TEST_test_bfd_packet := tests/unit/test_bfd_packet.c routed-bridge/bfd_packet.c lib/buf.c
TEST_test_bfddp := tests/unit/test_bfddp.c routed-bridge/bfddp.c lib/addr.c lib/buf.c
TEST_test_bfd_client := tests/unit/test_bfd_client.c routed-bridge/bfd_client.c lib/log.c
LIBS_test_bfd_client := -lev
TEST_test_bfd_reports := tests/unit/test_bfd_reports.c \
	$(addprefix routed-bridge/bfd_,reports.c link.c loop.c table.c session.c due.c packet.c) \
	lib/addr.c lib/buf.c lib/log.c lib/mono.c
TEST_test_bfd_session := tests/unit/test_bfd_session.c routed-bridge/bfd_session.c
TEST_test_bfd_pair := tests/unit/test_bfd_pair.c $(addprefix routed-bridge/bfd_,table.c session.c due.c packet.c) \
	lib/addr.c lib/buf.c
TEST_test_store := tests/unit/test_store.c ipsecd/state/store.c ipsecd/state/store_log.c \
	ipsecd/state/memfd.c lib/crc32c.c lib/private_memory.c lib/table.c
TEST_test_conn_codec := tests/unit/test_conn_codec.c tests/support/conn_dump.c $(CONFIG_SRC) $(MODEL_SRC) $(CODEC_SRC) \
	lib/addr.c lib/buf.c lib/words.c
TEST_test_helper := tests/unit/test_helper.c $(addprefix ipsecd/,helper_role.c helper_load.c helper_client.c vault.c approve.c \
	loaded.c reload.c reload_files.c known.c script.c script_desk.c role.c) $(filter ipsecd/sandbox%,$(SHELL_SRC)) $(filter ipsecd/net/%,$(NET_SRC)) $(IPC_SRC) $(STATE_SRC) \
	$(CONFIG_SRC) $(IKE_SRC) $(WIRE_SRC) $(MODEL_SRC) $(CODEC_SRC) $(CRYPTO_SRC) $(LIB_SRC)
LIBS_test_helper := -lcrypto -lmnl -lev $(THREADS_LIBS) -lcares -lmicrohttpd -lsystemd -lseccomp -lcap-ng
TEST_test_ipc_link := tests/unit/test_ipc_link.c ipsecd/ipc/link.c ipsecd/ipc/waiting.c lib/mono.c
LIBS_test_ipc_link := -lev -lpthread
TEST_test_ipc_check := tests/unit/test_ipc_check.c tests/support/ipc_samples.c ipsecd/ipc/check.c \
	ipsecd/ipc/check_child.c ipsecd/ipc/describe.c $(MODEL_SRC) lib/addr.c lib/words.c
TEST_test_publish := tests/unit/test_publish.c ipsecd/publish.c ipsecd/publish_body.c ipsecd/updown_env.c $(STATE_SRC) lib/private_memory.c $(MODEL_SRC) $(CODEC_SRC) \
	lib/addr.c lib/buf.c lib/crc32c.c lib/log.c lib/table.c lib/words.c
TEST_test_helper_body := tests/unit/test_helper_body.c ipsecd/ipc/helper_body.c ipsecd/approve.c ipsecd/vault.c ipsecd/loaded.c \
	$(STATE_SRC) lib/private_memory.c $(CONFIG_SRC) $(MODEL_SRC) $(CODEC_SRC) lib/addr.c lib/buf.c lib/crc32c.c lib/table.c lib/words.c
