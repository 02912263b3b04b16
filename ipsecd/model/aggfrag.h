/* AGGFRAG and IP-TFS of a CHILD_SA (RFC 9347): what a configuration asks for, and what a child_sa
 * tells the data plane to do. Zero is the default of every field. */
#ifndef DETOUR_MODEL_AGGFRAG_H
#define DETOUR_MODEL_AGGFRAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum aggfrag_mode { AGGFRAG_NO, AGGFRAG_YES, AGGFRAG_REQUIRE };

#define AGGFRAG_PACKET_MIN     256
#define AGGFRAG_WINDOW_DEFAULT 3 /* RFC 9347 2.2.3 */
#define AGGFRAG_WINDOW_MAX     64
#define AGGFRAG_DROP_DEFAULT   10000 /* microseconds */
#define AGGFRAG_DROP_MAX       10000000
#define AGGFRAG_QUEUE_MIN      4096
#define AGGFRAG_QUEUE_MAX      (16u << 20)
#define AGGFRAG_BITS_MIN       8000
#define AGGFRAG_BITS_MAX       UINT64_C(10000000000)
#define AGGFRAG_PACKETS_MAX    1000000

struct aggfrag_params {
	uint8_t mode;		 /* enum aggfrag_mode; of a child_sa: not AGGFRAG_NO: agreed */
	bool dont_frag;		 /* inner packets are not cut; of a config: nor wanted cut (D) */
	bool rate_bits;		 /* `rate` is in bits, not packets */
	uint16_t packet_size;	 /* outer IP packets have so many bytes; 0: what the path holds */
	uint16_t reorder_window; /* payloads; 0: AGGFRAG_WINDOW_DEFAULT */
	uint32_t drop_time;	 /* microseconds for a missing payload; 0: AGGFRAG_DROP_DEFAULT */
	uint32_t max_queue;	 /* with a rate: bytes that may wait; 0: what leaves in 100 ms */
	uint64_t rate; /* per second, of outer packets; 0: when there is something to send */
};

bool aggfrag_params_equal(const struct aggfrag_params *a, const struct aggfrag_params *b);
/* "no", "yes", "require". */
bool aggfrag_mode_parse(const char *text, uint8_t *out);
/* "500pps", "800kbit", "10mbit", "1gbit", "64000bit"; "no" and "0": none. */
#define AGGFRAG_RATE_WORDS "a rate such as 500pps, 800kbit or 10mbit"
bool aggfrag_rate_parse(const char *text, struct aggfrag_params *p);
#define AGGFRAG_RATE_TEXT 32
/* As it may be written, "" without one. */
const char *aggfrag_rate_format(const struct aggfrag_params *p, char out[AGGFRAG_RATE_TEXT]);
/* Every field within its bounds? */
bool aggfrag_params_valid(const struct aggfrag_params *p);

#endif
