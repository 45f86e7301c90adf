/*
 * PNG by the simple interface of libpng, which needs no way to leave it in the middle.
 *
 * It would correct colors by what the file says of its gamma, and there is no switch. So it is given a copy of the file
 * without the chunks that are not critical, transparent colors of a palette among them.
 */
#include "ops/image/image_decoding.h"

/* Of png.h. */
enum {
  PNG_OWN_IMAGE_VERSION = 1,
  PNG_OWN_FORMAT_ALPHA = 1,
  PNG_OWN_FORMAT_RGB = 2,
  PNG_OWN_FORMAT_RGBA = 3,
  PNG_OWN_IS_SRGB_16 = 4 /* samples of 16 bits are as those of 8 bits, not linear */
};

typedef struct png_own_image {
  void *opaque;
  uint32_t version, width, height, format, flags, colormap_entries, warning_or_error;
  char message[64];
} png_own_image;

typedef struct png_functions {
  int (*begin)(png_own_image *image, const void *bytes, size_t size);
  int (*finish)(png_own_image *image, const void *background, void *pixels, int32_t row_stride, void *colormap);
  void (*free)(png_own_image *image);
} png_functions;

static const image_symbol png_symbols[] = {
    {"png_image_begin_read_from_memory", offsetof(png_functions, begin)},
    {"png_image_finish_read", offsetof(png_functions, finish)},
    {"png_image_free", offsetof(png_functions, free)},
    {0},
};

#define PNG_SIGNATURE 8
#define PNG_CHUNK     12 /* bytes of a chunk beside its data: length, name, checksum */

static size_t png_u32(const uint8_t *bytes) {
  return (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | (size_t)bytes[3];
}

/* Copies the signature and the critical chunks, whose names begin with a capital letter; what is cut off is left as it
 * is. Returns the number of bytes. */
static size_t png_copy_critical(const image_decoding *d, uint8_t *to) {
  size_t at = PNG_SIGNATURE, size = PNG_SIGNATURE;
  memcpy(to, d->bytes, PNG_SIGNATURE);
  while (d->size - at >= PNG_CHUNK) {
    const size_t length = png_u32(d->bytes + at), left = d->size - at;
    const size_t whole = length > left - PNG_CHUNK ? left : length + PNG_CHUNK;
    if (!(d->bytes[at + 4] & 0x20)) {
      memcpy(to + size, d->bytes + at, whole);
      size += whole;
    }
    at += whole;
  }
  return size;
}

static norma_status png_read(image_decoding *d, const png_functions *functions, png_own_image *image) {
  TRY(image_begin(d, image->width, image->height));
  const int64_t pixels = d->width * d->height;
  void *rows = d->pixels;
  const bool has_alpha = image->format & PNG_OWN_FORMAT_ALPHA;
  image->format = has_alpha ? PNG_OWN_FORMAT_RGBA : PNG_OWN_FORMAT_RGB;
  image->flags |= PNG_OWN_IS_SRGB_16;
  if (has_alpha) TRY(run_allocate_temporary(d->context, (size_t)pixels * 4, &rows));
  if (!functions->finish(image, NULL, rows, 0, NULL)) return image_fail(d, "%.63s", image->message);
  for (int64_t i = 0; has_alpha && i < pixels; i++) memcpy(d->pixels + 3 * i, (const uint8_t *)rows + 4 * i, 3);
  return NORMA_OK;
}

norma_status image_decode_png(image_decoding *d) {
  static const char *const names[] = {"libpng16.so.16", "libpng16.so", "libpng.so", "libpng16.dylib", NULL};
  png_functions functions;
  png_own_image image = {.version = PNG_OWN_IMAGE_VERSION};
  void *copy;
  TRY(image_library_open(d, "PNG", names, png_symbols, &functions));
  TRY(run_allocate_temporary(d->context, d->size, &copy));
  const size_t size = png_copy_critical(d, copy);
  if (!functions.begin(&image, copy, size)) {
    const norma_status status = image_fail(d, "%.63s", image.message);
    functions.free(&image);
    return status;
  }
  const norma_status status = png_read(d, &functions, &image);
  functions.free(&image);
  return status;
}
