#include "tools/bench/machine_limits.h"

#include "engine/norma.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------ all threads at once, several rounds */

enum { MAX_THREADS = 256 };

/* Does the share of thread `index` of `count` once. */
typedef void (*limits_work)(void *context, int index, int count);

typedef struct team {
  limits_work work;
  void *context;
  int count, rounds;
  double best;               /* seconds of the fastest round */
  pthread_barrier_t barrier; /* waited at only when the team is complete */
  pthread_mutex_t gate;      /* held until that is known */
  bool complete;
} team;

typedef struct member {
  team *team;
  int index;
  pthread_t thread;
} member;

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void *member_main(void *argument) {
  member *member = argument;
  team *team = member->team;
  pthread_mutex_lock(&team->gate);
  int rounds = team->complete ? team->rounds : 0;
  pthread_mutex_unlock(&team->gate);
  for (int round = 0; round < rounds; round++) {
    pthread_barrier_wait(&team->barrier);
    double start = seconds_now();
    team->work(team->context, member->index, team->count);
    pthread_barrier_wait(&team->barrier);
    double time = seconds_now() - start;
    if (member->index == 0 && (team->best == 0 || time < team->best)) team->best = time;
  }
  return NULL;
}

/* Seconds of the fastest round; 0 if the threads cannot be had. */
static double fastest_round(limits_work work, void *context, int count, int rounds) {
  member members[MAX_THREADS];
  team team = {.work = work, .context = context, .count = count, .rounds = rounds, .gate = PTHREAD_MUTEX_INITIALIZER};
  if (count < 1 || count > MAX_THREADS || pthread_barrier_init(&team.barrier, NULL, (unsigned)count) != 0) return 0;
  int started = 1;
  pthread_mutex_lock(&team.gate);
  for (int i = 0; i < count; i++) members[i] = (member){.team = &team, .index = i};
  while (started < count && pthread_create(&members[started].thread, NULL, member_main, &members[started]) == 0)
    started++;
  team.complete = started == count;
  pthread_mutex_unlock(&team.gate);
  member_main(&members[0]);
  for (int i = 1; i < started; i++) pthread_join(members[i].thread, NULL);
  pthread_barrier_destroy(&team.barrier);
  return team.best;
}

/* ------------------------------------------------------------------------------------------------------- arithmetic */

typedef struct exercise {
  const char *kernels;
  double operations; /* of one thread */
} exercise;

static void multiply_add_chains(void *context, int index, int count) {
  exercise *exercise = context;
  (void)count;
  const double operations = norma_kernel_table_exercise(exercise->kernels);
  if (index == 0) exercise->operations = operations;
}

double limits_multiply_add(const char *kernels, int threads) {
  exercise exercise = {.kernels = kernels};
  double time = fastest_round(multiply_add_chains, &exercise, threads, 20);
  return time > 0 ? exercise.operations * threads / time : 0;
}

/* ----------------------------------------------------------------------------------------------------------- memory */

typedef uint64_t words __attribute__((vector_size(16)));

enum { WORDS_PER_STEP = 8 };

typedef struct arena_block {
  char *data;
  size_t bytes;                /* a multiple of 4096 for each thread */
  uint64_t total[MAX_THREADS]; /* of what was read, so that reading cannot be left out */
} arena_block;

static void read_share(void *context, int index, int count) {
  arena_block *block = context;
  size_t share = block->bytes / (size_t)count / sizeof(words);
  const words *from = (const words *)block->data + (size_t)index * share;
  words sums[WORDS_PER_STEP] = {{0}};
  for (size_t i = 0; i < share; i += WORDS_PER_STEP) {
#pragma GCC unroll 8
    for (int j = 0; j < WORDS_PER_STEP; j++) sums[j] ^= from[i + (size_t)j];
  }
  for (int j = 0; j < WORDS_PER_STEP; j++) block->total[index] ^= sums[j][0] ^ sums[j][1];
}

/* The first half of the thread's share into the second. */
static void copy_share(void *context, int index, int count) {
  arena_block *block = context;
  size_t half = block->bytes / (size_t)count / 2;
  char *from = block->data + 2 * half * (size_t)index;
  memcpy(from + half, from, half);
}

static double measure_memory(limits_work work, int threads) {
  static const size_t most = (size_t)1 << 30;
  arena_block block = {.bytes = most};
  long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  if (threads < 1 || threads > MAX_THREADS) return 0;
  if (pages > 0 && page > 0 && (double)pages * (double)page / 4 < (double)most) {
    block.bytes = (size_t)((double)pages * (double)page / 4);
  }
  block.bytes -= block.bytes % ((size_t)threads * 4096);
  if (block.bytes == 0) return 0;
  block.data = mmap(NULL, block.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block.data == MAP_FAILED) return 0;
  memset(block.data, 1, block.bytes); /* pages that were never written are all the same one */
  double time = fastest_round(work, &block, threads, 5);
  munmap(block.data, block.bytes);
  return time > 0 ? (double)block.bytes / time : 0;
}

double limits_read(int threads) {
  return measure_memory(read_share, threads);
}

double limits_copy(int threads) {
  return measure_memory(copy_share, threads);
}
