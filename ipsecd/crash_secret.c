/* A file of 32 random bytes, for root alone, that comes into being whole or not at all. */
#include "ipsecd/crash_secret.h"
#include "ipsecd/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_LEN IKE_QUICK_CRASH_SECRET

static int failed(const char *path, const char *what, char *why, size_t size)
{
	snprintf(why, size, "%s: %s: %s", path, what, strerror(errno));
	return -1;
}

static bool write_fresh(int fd)
{
	uint8_t secret[SECRET_LEN];
	ssize_t n;

	crypto_random(NULL, secret, sizeof(secret));
	n = write(fd, secret, sizeof(secret));
	explicit_bzero(secret, sizeof(secret));
	return n == SECRET_LEN;
}

/* NULL: good. Whoever could write to it, or read it, might know it. */
static const char *fault(int fd)
{
	const struct passwd *ours = getpwnam(SANDBOX_USER);
	struct stat st;

	if (fstat(fd, &st) != 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode) || st.st_size != SECRET_LEN)
		return "expected a file of 32 bytes; remove it, and another one is made";
	if (st.st_uid != 0 && st.st_uid != geteuid() && !(ours && st.st_uid == ours->pw_uid))
		return "it belongs to somebody else";
	if (st.st_mode & 077)
		return "others may use it; expected mode 0600";
	return NULL;
}

static int open_good(const char *path, char *why, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	const char *wrong;

	if (fd < 0) {
		failed(path, "open", why, size);
		return -1;
	}
	wrong = fault(fd);
	if (!wrong)
		return fd;
	snprintf(why, size, "%s: %s", path, wrong);
	close(fd);
	return -1;
}

/* malloc'ed; NULL: no memory. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return strdup(slash ? "/" : ".");
	return strndup(path, (size_t)(slash - path));
}

/* The last one of its folders; the others are the system's. */
static void make_folder(const char *path)
{
	char *folder = folder_of(path);

	if (folder)
		mkdir(folder, 0700);
	free(folder);
}

static void sync_folder(const char *path)
{
	char *folder = folder_of(path);
	int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(folder);
}

/* Another process may do the same: the link of one of us is there first, and that is it. */
static bool make(const char *path, char *why, size_t size)
{
	char *draft;
	bool ok;
	int fd;

	make_folder(path);
	if (asprintf(&draft, "%s.%ld", path, (long)getpid()) < 0)
		return false;
	fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	ok = fd >= 0 && write_fresh(fd) && fsync(fd) == 0 &&
	     (link(draft, path) == 0 || errno == EEXIST);
	if (!ok)
		failed(path, "it can't be made", why, size);
	if (fd >= 0) {
		close(fd);
		unlink(draft);
	}
	free(draft);
	if (ok)
		sync_folder(path);
	return ok;
}

static int in_memory(char *why, size_t size)
{
	int fd = memfd_create("ipsecd-crash-secret", MFD_CLOEXEC);

	if (fd >= 0 && write_fresh(fd))
		return fd;
	failed("memory", "a secret", why, size);
	if (fd >= 0)
		close(fd);
	return -1;
}

int crash_secret_open(const char *path, char *why, size_t size)
{
	int fd = -1;

	why[0] = '\0';
	if (access(path, F_OK) == 0 || errno != ENOENT || make(path, why, size))
		fd = open_good(path, why, size);
	return fd >= 0 ? fd : in_memory(why, size);
}

bool crash_secret_read(int fd, uint8_t out[IKE_QUICK_CRASH_SECRET])
{
	return pread(fd, out, SECRET_LEN, 0) == SECRET_LEN;
}
