/* The wall clock of every process that this is preloaded into, moved by two numbers in a shared file: the seconds by
   which everybody is moved, and those by which all but the database are moved besides. Monotonic clocks stay. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *offsets;
static int is_database;

__attribute__((constructor)) static void attach(void) {
  const char *path = getenv("ATTEND_CLOCK");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *shared = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (shared == MAP_FAILED) return;
  offsets = shared;
  is_database = strcmp(program_invocation_short_name, "postgres") == 0;
}

static int64_t offset(void) {
  return offsets ? offsets[0] + (is_database ? 0 : offsets[1]) : 0;
}

int clock_gettime(clockid_t id, struct timespec *now) {
  static int (*original)(clockid_t, struct timespec *);
  if (!original) *(void **)&original = dlsym(RTLD_NEXT, "clock_gettime");
  int failed = original ? original(id, now) : (int)syscall(SYS_clock_gettime, id, now);
  if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += offset();
  return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec precise;
  int failed = clock_gettime(CLOCK_REALTIME, &precise);
  if (!failed) *now = (struct timeval){precise.tv_sec, precise.tv_nsec / 1000};
  return failed;
}

time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result) *result = now.tv_sec;
  return now.tv_sec;
}
