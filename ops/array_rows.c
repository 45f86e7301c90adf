#include "ops/array_rows.h"

#define ROW_PIECE 2048 /* bytes of a number that is written out */

/* Operand `k` of a piece: where it is, or `count` times what is repeated, written out once. */
static const char *row_operand(char *const *pointers, const int64_t *steps, int k, int64_t at, const char *repeated) {
  return steps[k] ? pointers[k] + at * steps[k] : repeated;
}

void array_binary_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const array_row_job *job = argument;
  char repeated[2][ROW_PIECE];
  const bool is_plain = steps[1] && steps[2];
  const int64_t most = is_plain ? count : ROW_PIECE / (int64_t)job->bytes, first = count < most ? count : most;
  for (int k = 1; k <= 2; k++) {
    if (!steps[k]) strided_fill(repeated[k - 1], pointers[k], job->bytes, first);
  }
  for (int64_t i = 0; i < count; i += most) {
    const char *x = row_operand(pointers, steps, 1, i, repeated[0]);
    const char *z = row_operand(pointers, steps, 2, i, repeated[1]);
    const size_t elements = (size_t)(count - i < most ? count - i : most);
    const size_t length = job->by_bytes ? elements * job->bytes : elements;
    job->function(pointers[0] + i * steps[0], job->is_reversed ? z : x, job->is_reversed ? x : z, length);
  }
}

/* Of 16 bytes: two of 8 under the same condition. */
static void select_pairs(char *y, const char *condition, const char *x, const char *z, size_t count) {
  for (size_t i = 0; i < count; i++) memcpy(y + 16 * i, (condition[i] ? x : z) + 16 * i, 16);
}

void array_select_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const select_row_job *job = argument;
  char repeated[3][ROW_PIECE];
  const bool is_plain = steps[1] && steps[2] && steps[3];
  const int64_t most = is_plain ? count : ROW_PIECE / (int64_t)job->bytes, first = count < most ? count : most;
  const int size = job->bytes == 1 ? 0 : job->bytes == 2 ? 1 : job->bytes == 4 ? 2 : 3;
  for (int k = 1; k <= 3; k++) {
    if (!steps[k]) strided_fill(repeated[k - 1], pointers[k], k == 1 ? 1 : job->bytes, first);
  }
  for (int64_t i = 0; i < count; i += most) {
    const char *condition = row_operand(pointers, steps, 1, i, repeated[0]);
    const char *x = row_operand(pointers, steps, 2, i, repeated[1]);
    const char *z = row_operand(pointers, steps, 3, i, repeated[2]);
    char *y = pointers[0] + i * steps[0];
    const size_t length = (size_t)(count - i < most ? count - i : most);
    if (job->bytes == 16) {
      select_pairs(y, condition, x, z, length);
    } else {
      job->kernels->arrays->select[size](y, (const uint8_t *)condition, x, z, length);
    }
  }
}
