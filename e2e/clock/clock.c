/* Clocks that a test holds in its hand, for programs that it starts: loaded with LD_PRELOAD, they answer in place of the C library's.
 *
 * CLOCK_FILE names a file of four 64-bit numbers. It is mapped: what a test writes holds at once.
 *   0  microseconds since 1970 at which the wall clock stands still; 0: it does not
 *   1  where it does not: by how many microseconds it is ahead of the real one
 *   2  nanoseconds of CLOCK_MONOTONIC from which on that clock is slow
 *   3  by which factor; 0 and 1: not at all. To a program whose clock is slow, the machine is as many times faster.
 * Static programs do not load this. (libfaketime would do, but stops programs that allocate with jemalloc, as redis-server, before they begin.)
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *hand;

__attribute__((constructor)) static void open_hand(void) {
  const char *path = getenv("CLOCK_FILE");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  void *page = file < 0 ? MAP_FAILED : mmap(NULL, 4 * sizeof *hand, PROT_READ, MAP_SHARED, file, 0);
  if (page == MAP_FAILED) {
    perror("clock: CLOCK_FILE");
    _exit(3);
  }
  close(file);
  hand = page;
}

static int64_t now(void) {
  struct timespec real;
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &real);
  int64_t micros = (int64_t)real.tv_sec * 1000000 + real.tv_nsec / 1000;
  if (!hand) return micros; /* asked before the constructor */
  int64_t still = hand[0];
  return still ? still : micros + hand[1];
}

static int duration(clockid_t id, struct timespec *out) {
  int result = (int)syscall(SYS_clock_gettime, id, out);
  if (result || !hand || hand[3] <= 1) return result;
  int64_t nanos = (int64_t)out->tv_sec * 1000000000 + out->tv_nsec;
  int64_t since = nanos - hand[2];
  if (since > 0) nanos = hand[2] + since / hand[3];
  *out = (struct timespec){.tv_sec = nanos / 1000000000, .tv_nsec = nanos % 1000000000};
  return 0;
}

int clock_gettime(clockid_t id, struct timespec *out) {
  if (id == CLOCK_MONOTONIC) return duration(id, out);
  if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE) return (int)syscall(SYS_clock_gettime, id, out);
  int64_t micros = now();
  *out = (struct timespec){.tv_sec = micros / 1000000, .tv_nsec = micros % 1000000 * 1000};
  return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  (void)zone;
  int64_t micros = now();
  *out = (struct timeval){.tv_sec = micros / 1000000, .tv_usec = micros % 1000000};
  return 0;
}

time_t time(time_t *out) {
  time_t seconds = now() / 1000000;
  if (out) *out = seconds;
  return seconds;
}
