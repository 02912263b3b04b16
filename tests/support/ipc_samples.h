/* A good body of each message between ike and plane. */
#ifndef DETOUR_TEST_IPC_SAMPLES_H
#define DETOUR_TEST_IPC_SAMPLES_H

#include "ipsecd/ipc/plane.h"

struct ipc_sample {
	uint32_t verb;
	bool answer; /* plane's to this verb */
	size_t len;
	uint8_t body[sizeof(struct child_sa)];
};

/* The n-th; false behind the last. */
bool ipc_sample(unsigned n, struct ipc_sample *out);
struct ipc_tunnel sample_tunnel(void);
struct child_sa sample_child(void);

#endif
