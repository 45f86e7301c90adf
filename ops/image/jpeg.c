/* JPEG by the TurboJPEG interface of libjpeg-turbo, whose smooth upsampling of colors is what ImageDecoder asks for. */
#include "ops/image/image_decoding.h"

/* Values of turbojpeg.h. */
enum {
  TJ_RGB = 0,
  TJ_CMYK_PIXELS = 11,
  TJ_COLORS_CMYK = 3,
  TJ_COLORS_YCCK = 4,
  TJ_LIMIT_SCANS = 32768 /* an image of more than 500 scans, each of which goes through all pixels, is refused */
};

#define JPEG_PIXEL_BYTES 8 /* that a progressive image takes: two for each coefficient of up to four components */

typedef struct jpeg_functions {
  void *(*create)(void);
  int (*header)(void *handle, const unsigned char *bytes, unsigned long size, int *width, int *height, int *subsampling,
                int *colors);
  int (*decompress)(void *handle, const unsigned char *bytes, unsigned long size, unsigned char *pixels, int width,
                    int pitch, int height, int format, int flags);
  int (*destroy)(void *handle);
  char *(*message)(void *handle);
} jpeg_functions;

static const image_symbol jpeg_symbols[] = {
    {"tjInitDecompress", offsetof(jpeg_functions, create)},  {"tjDecompressHeader3", offsetof(jpeg_functions, header)},
    {"tjDecompress2", offsetof(jpeg_functions, decompress)}, {"tjDestroy", offsetof(jpeg_functions, destroy)},
    {"tjGetErrorStr2", offsetof(jpeg_functions, message)},   {0},
};

/* Four inks, which files hold inverted, to colors. */
static void jpeg_from_inks(const uint8_t *inks, int64_t count, uint8_t *pixels) {
  for (int64_t i = 0; i < count; i++)
    for (int c = 0; c < 3; c++) pixels[3 * i + c] = (uint8_t)((inks[4 * i + c] * inks[4 * i + 3] + 127) / 255);
}

static norma_status jpeg_decode(image_decoding *d, const jpeg_functions *functions, void *handle) {
  int width, height, subsampling, colors;
  if (functions->header(handle, d->bytes, d->size, &width, &height, &subsampling, &colors) != 0)
    return image_fail(d, "%s", functions->message(handle));
  TRY(image_begin(d, width, height));
  const bool has_inks = colors == TJ_COLORS_CMYK || colors == TJ_COLORS_YCCK;
  void *inks = NULL;
  TRY(image_reserve(d, (uint64_t)(d->width * d->height), JPEG_PIXEL_BYTES));
  if (has_inks) TRY(run_allocate_temporary(d->context, (size_t)width * (size_t)height * 4, &inks));
  if (functions->decompress(handle, d->bytes, d->size, has_inks ? inks : d->pixels, width, 0, height,
                            has_inks ? TJ_CMYK_PIXELS : TJ_RGB, TJ_LIMIT_SCANS) != 0)
    return image_fail(d, "%s", functions->message(handle));
  if (has_inks) jpeg_from_inks(inks, d->width * d->height, d->pixels);
  return NORMA_OK;
}

norma_status image_decode_jpeg(image_decoding *d) {
  static const char *const names[] = {"libturbojpeg.so.0", "libturbojpeg.so", "libturbojpeg.dylib", NULL};
  jpeg_functions functions;
  TRY(image_library_open(d, "JPEG", names, jpeg_symbols, &functions));
  void *handle = functions.create();
  if (!handle) return run_fail(d->context, NORMA_ERROR_OUT_OF_MEMORY, "no memory for a decoder");
  const norma_status status = jpeg_decode(d, &functions, handle);
  functions.destroy(handle);
  return status;
}
