#include "proto/polled_write.h"

#define POLLED_PIECE_BYTES ((size_t)1 << 20)

bool polled_write_bytes(void *context, const void *bytes, size_t count) {
  const polled_write *polled = context;
  const char *next = bytes;
  while (count > 0) {
    const size_t piece = count < POLLED_PIECE_BYTES ? count : POLLED_PIECE_BYTES;
    if (interruption_reason(polled->interruption) != NORMA_OK) return false;
    if (!polled->write(polled->context, next, piece)) return false;
    next += piece;
    count -= piece;
  }
  return true;
}
