#include "engine/edit/moments_state.h"

#include "engine/base/status.h"

#include <math.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the form is that of memory");

norma_status moments_write_state(const moments *moments, norma_write write, void *context, norma_error *error) {
  const size_t bytes = (size_t)moments->channels * sizeof(double);
  bool good = write(context, &moments->samples, sizeof moments->samples);
  for (int i = 0; good && i < MOMENTS_LEVELS; i++) {
    const moments_group *group = &moments->levels[i];
    if (!(moments->samples >> i & 1)) continue;
    good = write(context, &group->count, sizeof group->count) && write(context, group->mean, bytes) &&
           write(context, group->squares, bytes);
  }
  return good ? NORMA_OK : error_set(error, NORMA_ERROR_FILE, "the moments could not be written");
}

typedef struct state_cursor {
  const char *at;
  size_t left;
} state_cursor;

static bool take_bytes(state_cursor *cursor, void *to, size_t count) {
  if (cursor->left < count) return false;
  memcpy(to, cursor->at, count);
  cursor->at += count;
  cursor->left -= count;
  return true;
}

static bool take_numbers(state_cursor *cursor, double *numbers, int64_t count) {
  if (cursor->left / sizeof *numbers < (size_t)count) return false;
  take_bytes(cursor, numbers, (size_t)count * sizeof *numbers);
  for (int64_t c = 0; c < count; c++) {
    if (!isfinite(numbers[c])) return false;
  }
  return true;
}

static norma_status damaged_state(norma_error *error) {
  return error_set(error, NORMA_ERROR_FORMAT, "the bytes are no moments of so many channels");
}

static norma_status take_state(moments *moments, state_cursor *cursor, norma_error *error) {
  uint64_t samples;
  if (!take_bytes(cursor, &samples, sizeof samples) || samples >> (MOMENTS_LEVELS - 2)) return damaged_state(error);
  /* what is claimed must be there before memory is asked for */
  const size_t groups = (size_t)__builtin_popcountll(samples);
  if (cursor->left / sizeof(double) / (2 * (size_t)moments->channels + 1) < groups) return damaged_state(error);
  TRY(moments_reserve(moments, samples, error));
  for (int i = 0; i < MOMENTS_LEVELS; i++) {
    moments_group *group = &moments->levels[i];
    if (!(samples >> i & 1)) continue;
    double count;
    if (!take_numbers(cursor, &count, 1) || !(count > 0) || !take_numbers(cursor, group->mean, moments->channels) ||
        !take_numbers(cursor, group->squares, moments->channels)) {
      return damaged_state(error);
    }
    group->count = count;
  }
  moments->samples = samples;
  return NORMA_OK;
}

norma_status moments_read_state(moments *moments, const void *data, size_t size, size_t *used, norma_error *error) {
  state_cursor cursor = {data, size};
  *used = 0;
  moments_reset(moments);
  norma_status status = take_state(moments, &cursor, error);
  if (status == NORMA_OK) {
    *used = size - cursor.left;
  } else {
    moments_reset(moments);
  }
  return status;
}
