/*
 * Windows bitmaps: 1, 4 and 8 bits with a palette, run lengths of 4 and 8 bits, 16, 24 and 32 bits, with masks too;
 * headers of 12 bytes (OS/2) and of 40 bytes and more. Rows lie from the bottom up unless the height is negative.
 */
#include "ops/image/image_decoding.h"
#include "ops/work.h"

#include <inttypes.h>

enum bmp_compression { BMP_PLAIN = 0, BMP_RUNS_8 = 1, BMP_RUNS_4 = 2, BMP_MASKS = 3, BMP_ALPHA_MASKS = 6 };

typedef struct bmp_reader {
  image_decoding *d;
  uint32_t compression;
  int bits;
  bool top_down;
  size_t pixels_at;
  uint32_t masks[3];
  uint8_t palette[256][3]; /* red, green, blue; black behind the colors of the file */
} bmp_reader;

static uint32_t bmp_u16(const uint8_t *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static uint32_t bmp_u32(const uint8_t *bytes) {
  return bmp_u16(bytes) | bmp_u16(bytes + 2) << 16;
}

static uint8_t *bmp_pixel(const bmp_reader *reader, int64_t x, int64_t row) {
  image_decoding *d = reader->d;
  const int64_t y = reader->top_down ? row : d->height - 1 - row;
  return d->pixels + 3 * (y * d->width + x);
}

/* ----------------------------------------------------------------------------------------------------------- header */

static norma_status bmp_read_palette(bmp_reader *reader, size_t at, size_t entry, uint32_t colors) {
  image_decoding *d = reader->d;
  const uint32_t most = 1u << reader->bits;
  if (colors == 0 || colors > most) colors = most;
  if (at > d->size || (d->size - at) / entry < colors) return image_fail(d, "its palette is cut off");
  for (uint32_t i = 0; i < colors; i++)
    for (int c = 0; c < 3; c++) reader->palette[i][c] = d->bytes[at + i * entry + (size_t)(2 - c)];
  return NORMA_OK;
}

static norma_status bmp_read_masks(bmp_reader *reader) {
  image_decoding *d = reader->d;
  static const uint32_t masks_16[] = {0x7C00, 0x3E0, 0x1F}, masks_32[] = {0xFF0000, 0xFF00, 0xFF};
  memcpy(reader->masks, reader->bits == 16 ? masks_16 : masks_32, sizeof reader->masks);
  if (reader->compression != BMP_MASKS && reader->compression != BMP_ALPHA_MASKS) return NORMA_OK;
  if (d->size < 14 + 40 + 12) return image_fail(d, "its masks are cut off");
  /* Masks follow the first 40 bytes of any header. */
  for (int i = 0; i < 3; i++) reader->masks[i] = bmp_u32(d->bytes + 14 + 40 + 4 * i);
  return NORMA_OK;
}

static bool bmp_is_known(const bmp_reader *reader) {
  const int bits = reader->bits;
  switch (reader->compression) {
  case BMP_PLAIN:
    return bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32;
  case BMP_RUNS_8:
    return bits == 8 && !reader->top_down;
  case BMP_RUNS_4:
    return bits == 4 && !reader->top_down;
  case BMP_MASKS:
  case BMP_ALPHA_MASKS:
    return bits == 16 || bits == 32;
  default:
    return false;
  }
}

static norma_status bmp_read_header(bmp_reader *reader, int64_t *width, int64_t *height) {
  image_decoding *d = reader->d;
  if (d->size < 14 + 12) return image_fail(d, "its header is cut off");
  const uint32_t header = bmp_u32(d->bytes + 14);
  const uint8_t *fields = d->bytes + 14;
  uint32_t colors = 0;
  reader->pixels_at = bmp_u32(d->bytes + 10);
  if (header == 12) {
    *width = bmp_u16(fields + 4);
    *height = bmp_u16(fields + 6);
    reader->bits = (int)bmp_u16(fields + 10);
  } else {
    if (header < 40 || d->size < 14 + 40 || header > d->size - 14) return image_fail(d, "its header is cut off");
    *width = (int32_t)bmp_u32(fields + 4);
    *height = (int32_t)bmp_u32(fields + 8);
    reader->bits = (int)bmp_u16(fields + 14);
    reader->compression = bmp_u32(fields + 16);
    colors = bmp_u32(fields + 32);
  }
  reader->top_down = *height < 0;
  if (reader->top_down) *height = -*height;
  if (!bmp_is_known(reader))
    return image_fail(d, "bitmaps of %d bits and compression %" PRIu32 " are not known", reader->bits,
                      reader->compression);
  if (reader->pixels_at > d->size) return image_fail(d, "it has no pixels");
  if (reader->bits <= 8) return bmp_read_palette(reader, 14 + header, header == 12 ? 3 : 4, colors);
  return bmp_read_masks(reader);
}

/* ----------------------------------------------------------------------------------------------------------- pixels */

/* The part of a pixel under a mask, scaled to 0 .. 255. */
static uint8_t bmp_masked(uint32_t pixel, uint32_t mask) {
  if (!mask) return 0;
  const uint32_t lowest = mask & (0 - mask);
  const uint64_t part = (pixel & mask) / lowest, most = mask / lowest;
  return (uint8_t)((part * 255 + most / 2) / most);
}

static void bmp_store(const bmp_reader *reader, const uint8_t *row, int64_t x, uint8_t *to) {
  switch (reader->bits) {
  case 1:
    memcpy(to, reader->palette[row[x / 8] >> (7 - x % 8) & 1], 3);
    break;
  case 4:
    memcpy(to, reader->palette[row[x / 2] >> (x % 2 ? 0 : 4) & 15], 3);
    break;
  case 8:
    memcpy(to, reader->palette[row[x]], 3);
    break;
  case 24:
    to[0] = row[3 * x + 2], to[1] = row[3 * x + 1], to[2] = row[3 * x];
    break;
  default: {
    const uint32_t pixel = reader->bits == 16 ? bmp_u16(row + 2 * x) : bmp_u32(row + 4 * x);
    for (int c = 0; c < 3; c++) to[c] = bmp_masked(pixel, reader->masks[c]);
  }
  }
}

/* A row in whole words of 4 bytes. */
static size_t bmp_row_bytes(const bmp_reader *reader, int64_t width) {
  return (size_t)divide_up(width * reader->bits, 32) * 4;
}

/* Whether the file holds all rows; the last one may lack what makes its words whole. */
static bool bmp_has_rows(const bmp_reader *reader, int64_t width, int64_t height) {
  const size_t row = bmp_row_bytes(reader, width), last = (size_t)divide_up(width * reader->bits, 8);
  const size_t left = reader->d->size - reader->pixels_at;
  return left >= last && (left - last) / row >= (size_t)height - 1;
}

static norma_status bmp_read_rows(const bmp_reader *reader) {
  image_decoding *d = reader->d;
  const size_t bytes = bmp_row_bytes(reader, d->width);
  for (int64_t y = 0; y < d->height; y++) {
    const uint8_t *row = d->bytes + reader->pixels_at + (size_t)y * bytes;
    TRY(run_poll(d->context));
    for (int64_t x = 0; x < d->width; x++) bmp_store(reader, row, x, bmp_pixel(reader, x, y));
  }
  return NORMA_OK;
}

/* Color `i` of a run: with 4 bits two take turns. */
static int bmp_run_color(const bmp_reader *reader, uint8_t byte, int i) {
  return reader->bits == 8 ? byte : byte >> (i % 2 ? 0 : 4) & 15;
}

/* Pairs of a count and a color; a count of 0 stands for the end of a row or of the image, a move, or colors that
 * follow. What no run reaches has color 0. */
static norma_status bmp_read_runs(const bmp_reader *reader) {
  image_decoding *d = reader->d;
  const uint8_t *bytes = d->bytes;
  int64_t x = 0, y = 0, turn = 0;
  for (int64_t i = 0; i < d->width * d->height; i++) {
    TRY(work_poll(d->context, i));
    memcpy(d->pixels + 3 * i, reader->palette[0], 3);
  }
  for (size_t at = reader->pixels_at; y < d->height; turn++) {
    TRY(work_poll(d->context, turn));
    if (d->size - at < 2) return image_fail(d, "it is cut off");
    const int count = bytes[at], code = bytes[at + 1];
    at += 2;
    if (count > 0) {
      for (int i = 0; i < count && x < d->width; i++, x++)
        memcpy(bmp_pixel(reader, x, y), reader->palette[bmp_run_color(reader, (uint8_t)code, i)], 3);
    } else if (code == 0) {
      x = 0, y++;
    } else if (code == 1) {
      break;
    } else if (code == 2) {
      if (d->size - at < 2) return image_fail(d, "it is cut off");
      x += bytes[at], y += bytes[at + 1];
      at += 2;
    } else {
      const size_t data = reader->bits == 8 ? (size_t)code : (size_t)(code + 1) / 2, padded = (data + 1) / 2 * 2;
      if (d->size - at < padded) return image_fail(d, "it is cut off");
      for (int i = 0; i < code && x < d->width; i++, x++) {
        const uint8_t byte = bytes[at + (size_t)(reader->bits == 8 ? i : i / 2)];
        memcpy(bmp_pixel(reader, x, y), reader->palette[bmp_run_color(reader, byte, i)], 3);
      }
      at += padded;
    }
  }
  return NORMA_OK;
}

norma_status image_decode_bmp(image_decoding *d) {
  bmp_reader reader = {.d = d};
  int64_t width = 0, height = 0;
  TRY(bmp_read_header(&reader, &width, &height));
  const bool has_runs = reader.compression == BMP_RUNS_8 || reader.compression == BMP_RUNS_4;
  /* What is cut off is refused before there is memory for it. Runs may leave out as much as they like. */
  if (!has_runs && width > 0 && height > 0 && !bmp_has_rows(&reader, width, height))
    return image_fail(d, "it is cut off");
  TRY(image_begin(d, width, height));
  return has_runs ? bmp_read_runs(&reader) : bmp_read_rows(&reader);
}
