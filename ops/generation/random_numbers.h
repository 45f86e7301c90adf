/*
 * The numbers behind operators that draw: NumPy's legacy generator (numpy.random.RandomState), which is MT19937 of
 * Matsumoto and Nishimura with uniform numbers of 53 bits and Marsaglia's polar method for normal ones.
 *
 * With a seed the same numbers come in each run, and they are those that onnx.reference draws. An operator draws on one
 * thread, element by element, so the number of threads makes no difference. Without a seed each run begins elsewhere.
 */
#ifndef OPS_GENERATION_RANDOM_NUMBERS_H
#define OPS_GENERATION_RANDOM_NUMBERS_H

#include "ops/operator.h"

typedef struct random_seed {
  bool given;
  uint32_t value;
} random_seed;

/* Attribute seed, FLOAT or INT: its whole part, modulo 2^32. */
void random_read_seed(const node *node, random_seed *seed);

#define RANDOM_WORDS 624

typedef struct random_numbers {
  uint32_t words[RANDOM_WORDS];
  int next;
  bool has_normal;
  double normal; /* the second of a pair */
} random_numbers;

void random_begin(random_numbers *numbers, const random_seed *seed);
uint32_t random_bits(random_numbers *numbers);
double random_uniform(random_numbers *numbers); /* in [0, 1) */
double random_normal(random_numbers *numbers);  /* mean 0, variance 1 */

#endif
