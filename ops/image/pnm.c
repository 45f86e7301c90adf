/* Portable anymaps: PBM, PGM and PPM, as text (P1 .. P3) or binary (P4 .. P6). Samples are scaled to 0 .. 255. */
#include "ops/image/image_decoding.h"
#include "ops/work.h"

typedef struct pnm_reader {
  image_decoding *d;
  size_t at;
  int64_t most; /* the sample that is white; of bitmaps 1 */
} pnm_reader;

static bool pnm_is_blank(uint8_t byte) {
  return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Skips blanks and comments. */
static void pnm_skip(pnm_reader *reader) {
  image_decoding *d = reader->d;
  for (; reader->at < d->size; reader->at++) {
    if (d->bytes[reader->at] == '#') {
      while (reader->at < d->size && d->bytes[reader->at] != '\n' && d->bytes[reader->at] != '\r') reader->at++;
      if (reader->at == d->size) return;
    } else if (!pnm_is_blank(d->bytes[reader->at])) {
      return;
    }
  }
}

/* The next number of decimal digits; `digits` of them at most. */
static norma_status pnm_number(pnm_reader *reader, int digits, int64_t *number) {
  image_decoding *d = reader->d;
  int found = 0;
  *number = 0;
  pnm_skip(reader);
  for (; reader->at < d->size && found < digits; found++) {
    const uint8_t byte = d->bytes[reader->at];
    if (byte < '0' || byte > '9') break;
    *number = *number * 10 + (byte - '0');
    reader->at++;
  }
  return found > 0 ? NORMA_OK : image_fail(d, "a number is missing at byte %zu", reader->at);
}

static uint8_t pnm_scale(const pnm_reader *reader, int64_t sample) {
  const int64_t inside = sample < reader->most ? sample : reader->most;
  return (uint8_t)((inside * 255 + reader->most / 2) / reader->most);
}

static norma_status pnm_read_text(pnm_reader *reader, bool is_bitmap, bool is_color) {
  image_decoding *d = reader->d;
  for (int64_t i = 0; i < d->width * d->height; i++) {
    TRY(work_poll(d->context, i));
    for (int c = 0; c < 3; c++) {
      int64_t sample;
      if (c > 0 && !is_color) {
        d->pixels[3 * i + c] = d->pixels[3 * i];
        continue;
      }
      TRY(pnm_number(reader, is_bitmap ? 1 : 9, &sample));
      d->pixels[3 * i + c] = pnm_scale(reader, is_bitmap ? sample == 0 : sample);
    }
  }
  return NORMA_OK;
}

static norma_status pnm_read_bits(pnm_reader *reader) {
  image_decoding *d = reader->d;
  const size_t row = (size_t)divide_up(d->width, 8);
  if ((d->size - reader->at) / row < (size_t)d->height) return image_fail(d, "it is cut off");
  for (int64_t y = 0; y < d->height; y++) {
    const uint8_t *bits = d->bytes + reader->at + (size_t)y * row;
    TRY(run_poll(d->context));
    for (int64_t x = 0; x < d->width; x++)
      memset(d->pixels + 3 * (y * d->width + x), bits[x / 8] >> (7 - x % 8) & 1 ? 0 : 255, 3);
  }
  return NORMA_OK;
}

static norma_status pnm_read_samples(pnm_reader *reader, bool is_color) {
  image_decoding *d = reader->d;
  const int samples = is_color ? 3 : 1, bytes = reader->most > 255 ? 2 : 1;
  const int64_t pixels = d->width * d->height;
  if ((d->size - reader->at) / (size_t)(samples * bytes) < (size_t)pixels) return image_fail(d, "it is cut off");
  const uint8_t *from = d->bytes + reader->at;
  for (int64_t i = 0; i < pixels; i++) {
    TRY(work_poll(d->context, i));
    for (int c = 0; c < 3; c++) {
      const size_t at = (size_t)(i * samples + (is_color ? c : 0)) * (size_t)bytes;
      d->pixels[3 * i + c] = pnm_scale(reader, bytes == 2 ? from[at] << 8 | from[at + 1] : from[at]);
    }
  }
  return NORMA_OK;
}

norma_status image_decode_pnm(image_decoding *d) {
  pnm_reader reader = {.d = d, .at = 2, .most = 1};
  const int kind = (d->bytes[1] - '1') % 3; /* bits, gray, color */
  const bool is_text = d->bytes[1] <= '3';
  int64_t width, height;
  TRY(pnm_number(&reader, 9, &width));
  TRY(pnm_number(&reader, 9, &height));
  if (kind > 0) TRY(pnm_number(&reader, 9, &reader.most));
  if (reader.most < 1 || reader.most > 65535) return image_fail(d, "its largest sample is %d", (int)reader.most);
  if (reader.at >= d->size || !pnm_is_blank(d->bytes[reader.at])) return image_fail(d, "it has no samples");
  reader.at++;
  /* Each pixel takes at least a bit, or a digit. */
  if (width > 0 && (d->size - reader.at) / (size_t)divide_up(width, 8) < (size_t)height)
    return image_fail(d, "it is cut off");
  TRY(image_begin(d, width, height));
  if (is_text) return pnm_read_text(&reader, kind == 0, kind == 2);
  return kind == 0 ? pnm_read_bits(&reader) : pnm_read_samples(&reader, kind == 2);
}
