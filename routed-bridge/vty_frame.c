/* Where an answer on a vty socket ends. */
#include "routed-bridge/vty.h"

#define NULS 3

bool vty_frame_end(struct vty_frame *f, struct span in, size_t *text_len, uint8_t *status,
		   size_t *used)
{
	for (; f->scanned < in.len; f->scanned++) {
		if (f->nuls >= NULS) {
			*text_len = f->scanned - NULS;
			*status = in.ptr[f->scanned];
			*used = f->scanned + 1;
			return true;
		}
		f->nuls = in.ptr[f->scanned] == '\0' ? f->nuls + 1 : 0;
	}
	return false;
}
