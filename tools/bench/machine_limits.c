#include "tools/bench/machine_limits.h"

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

/* Twelve independent chains of multiply-adds, in assembly so that no compiler has a say. SSE2 multiplies and adds
 * apart. */
#define TWELVE(line)                                                                                                   \
  line("0") line("1") line("2") line("3") line("4") line("5") line("6") line("7") line("8") line("9") line("10")       \
      line("11")
#define FMA_ZMM(r)  "vfmadd231ps %%zmm12, %%zmm13, %%zmm" r "\n"
#define FMA_YMM(r)  "vfmadd231ps %%ymm12, %%ymm13, %%ymm" r "\n"
#define FMA_XMM(r)  "movaps %%xmm12, %%xmm14\n mulps %%xmm13, %%xmm14\n addps %%xmm14, %%xmm" r "\n"
#define FMA_NEON(r) "fmla v" r ".4s, v12.4s, v13.4s\n"
#define CHAINS(line, ...)                                                                                              \
  for (int i = 0; i < STEPS; i++) __asm__ volatile(TWELVE(line)::: __VA_ARGS__)
#define FIRST_15_XMM                                                                                                   \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",  \
      "xmm14"

enum { STEPS = 300000 };

static void multiply_add_chains(void *context, int index, int count) {
  const int lanes = *(const int *)context;
  (void)index;
  (void)count;
#if defined(__x86_64__)
  __asm__ volatile("xorps %%xmm12, %%xmm12\n xorps %%xmm13, %%xmm13" ::: "xmm12", "xmm13");
  if (lanes == 16) {
    CHAINS(FMA_ZMM, FIRST_15_XMM);
  } else if (lanes == 8) {
    CHAINS(FMA_YMM, FIRST_15_XMM);
  } else {
    CHAINS(FMA_XMM, FIRST_15_XMM);
  }
  /* else the next SSE instruction would pay for upper halves that nobody needs */
  if (lanes > 4) __asm__ volatile("vzeroupper" ::: FIRST_15_XMM);
#else
  (void)lanes;
  CHAINS(FMA_NEON, "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11");
#endif
}

/* Vectors of how many floats; tables are called by their instruction set, and more where they have more of it. */
static int lanes_of(const char *kernels) {
  static const struct {
    const char *start;
    int lanes;
  } tables[] = {{"avx512", 16}, {"avx2", 8}, {"sse2", 4}, {"neon", 4}};
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
    if (strncmp(kernels, tables[i].start, strlen(tables[i].start)) == 0) return tables[i].lanes;
  }
  return 0;
}

double limits_multiply_add(const char *kernels, int threads) {
  int lanes = lanes_of(kernels);
  double time = lanes > 0 ? fastest_round(multiply_add_chains, &lanes, threads, 20) : 0;
  return time > 0 ? 2.0 * 12 * STEPS * lanes * threads / time : 0;
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
