#include "ops/generation/random_numbers.h"

#include "engine/base/platform.h"

#include <math.h>
#include <sys/random.h>

void random_read_seed(const node *node, random_seed *seed) {
  const attribute *given = node_attribute(node, "seed");
  *seed = (random_seed){.given = given != NULL};
  if (!given) return;
  if (given->kind == ATTRIBUTE_INT) {
    seed->value = (uint32_t)given->i;
  } else if (isfinite(given->f)) {
    const double whole = fmod(trunc((double)given->f), 0x1p32);
    seed->value = (uint32_t)(int64_t)whole;
  } else {
    seed->given = false; /* no number is no seed */
  }
}

/* Without waiting for a machine that has just started; in WebAssembly, which has no such call, nobody waits. */
static bool random_bytes(void *bytes, size_t count) {
#ifdef __EMSCRIPTEN__
  return getentropy(bytes, count) == 0;
#else
  return getrandom(bytes, count, GRND_NONBLOCK) == (ssize_t)count;
#endif
}

static uint32_t random_anew(void) {
  uint32_t value;
  if (random_bytes(&value, sizeof value)) return value;
  const uint64_t now = clock_now_ns() * UINT64_C(0x9E3779B97F4A7C15);
  return (uint32_t)(now >> 32);
}

void random_begin(random_numbers *numbers, const random_seed *seed) {
  numbers->words[0] = seed->given ? seed->value : random_anew();
  for (uint32_t i = 1; i < RANDOM_WORDS; i++) {
    const uint32_t previous = numbers->words[i - 1];
    numbers->words[i] = 1812433253u * (previous ^ previous >> 30) + i;
  }
  numbers->next = RANDOM_WORDS;
  numbers->has_normal = false;
}

uint32_t random_bits(random_numbers *numbers) {
  uint32_t *words = numbers->words;
  if (numbers->next == RANDOM_WORDS) {
    for (int i = 0; i < RANDOM_WORDS; i++) {
      const uint32_t mixed = (words[i] & 0x80000000u) | (words[(i + 1) % RANDOM_WORDS] & 0x7FFFFFFFu);
      words[i] = words[(i + 397) % RANDOM_WORDS] ^ mixed >> 1 ^ (mixed & 1 ? 0x9908B0DFu : 0);
    }
    numbers->next = 0;
  }
  uint32_t y = words[numbers->next++];
  y ^= y >> 11;
  y ^= y << 7 & 0x9D2C5680u;
  y ^= y << 15 & 0xEFC60000u;
  return y ^ y >> 18;
}

double random_uniform(random_numbers *numbers) {
  const uint32_t high = random_bits(numbers) >> 5, low = random_bits(numbers) >> 6;
  return (high * 67108864.0 + low) / 9007199254740992.0;
}

double random_normal(random_numbers *numbers) {
  double x, y, square;
  if (numbers->has_normal) {
    numbers->has_normal = false;
    return numbers->normal;
  }
  do {
    x = 2 * random_uniform(numbers) - 1;
    y = 2 * random_uniform(numbers) - 1;
    square = x * x + y * y;
  } while (square >= 1 || square == 0);
  const double factor = sqrt(-2 * log(square) / square);
  numbers->normal = factor * x;
  numbers->has_normal = true;
  return factor * y;
}
