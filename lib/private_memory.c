/* Memory that holds secrets. */
#include "lib/private_memory.h"

#include <errno.h>
#include <sys/mman.h>

bool private_memory_mark(void *start, size_t len)
{
	int error = madvise(start, len, MADV_DONTDUMP) == 0 ? 0 : errno;

	/* What nobody touches takes no memory: mlock would have it all, at once. */
	if (mlock2(start, len, MLOCK_ONFAULT) != 0 && !error)
		error = errno;
	errno = error;
	return !error;
}
