/*
 * Encoded images: what ImageDecoder and its formats have in common.
 *
 * A decoder reads `bytes`, calls image_begin when it knows the size, and fills d->pixels with height x width pixels of
 * red, green and blue, 8 bits each. What cannot be read it says by image_fail; other failures are those of the machine.
 * It never reads beyond the bytes, whatever they hold.
 *
 * BMP and PNM are read here. JPEG, PNG, WebP, TIFF and JPEG 2000 are read by libraries that are opened when the first
 * image of their kind comes: nothing is linked, no header is needed, and a machine without them runs all else.
 */
#ifndef OPS_IMAGE_IMAGE_DECODING_H
#define OPS_IMAGE_IMAGE_DECODING_H

#include "ops/operator.h"

#include <stddef.h>

typedef struct image_decoding {
  run_context *context;
  const uint8_t *bytes;
  size_t size;
  int channels; /* of the output: 3, or 1 */
  int64_t height, width;
  uint8_t *pixels; /* the output where it has 3 channels */
  norma_tensor *output;
  bool is_broken;   /* the bytes cannot be decoded: image_fail was called */
  char reason[200]; /* why */
} image_decoding;

/* Makes the output. A size of 0 is none. Errors: RUN above 1 GiB of pixels, which no decoder here takes. */
norma_status image_begin(image_decoding *d, int64_t width, int64_t height);

/* Counts memory that a library is going to take for `count` items of `bytes` each against the budget, by a block that
 * nobody touches, until the step ends. */
norma_status image_reserve(const image_decoding *d, uint64_t count, uint64_t bytes);

/* The bytes cannot be decoded, for the reason given. Returns RUN, without an error. */
norma_status image_fail(image_decoding *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

norma_status image_decode_bmp(image_decoding *d);
norma_status image_decode_pnm(image_decoding *d);
norma_status image_decode_jpeg(image_decoding *d);
norma_status image_decode_png(image_decoding *d);
norma_status image_decode_webp(image_decoding *d);
norma_status image_decode_tiff(image_decoding *d);
norma_status image_decode_jpeg2000(image_decoding *d);

/* ---- libraries ---- */

/* A function of a library; the pointer at `to` has its type. */
typedef struct image_symbol {
  const char *name; /* NULL ends the list */
  size_t at;        /* offset of a function pointer in the caller's structure */
} image_symbol;

/* Opens the first of `names` (ended by NULL) that there is, and fills in the function pointers of `functions`. The
 * library stays in the process: opening it again is cheap. UNSUPPORTED where there is none. */
norma_status image_library_open(const image_decoding *d, const char *format, const char *const *names,
                                const image_symbol *symbols, void *functions);

#endif
