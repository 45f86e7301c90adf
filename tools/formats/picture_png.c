/* PNG through libpng's own interface for rows: its simplified one changes sample values where a file names a gamma. */
#include "tools/formats/picture_codecs.h"

#ifdef NORMA_HAVE_PNG

#include "tools/formats/file_error.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

typedef struct png_source {
  const unsigned char *bytes;
  size_t left;
  char message[128];
} png_source;

static void read_bytes(png_structp png, png_bytep to, size_t count) {
  png_source *source = png_get_io_ptr(png);
  if (count > source->left) png_error(png, "it ends early");
  memcpy(to, source->bytes, count);
  source->bytes += count;
  source->left -= count;
}

static void take_error(png_structp png, png_const_charp message) {
  png_source *source = png_get_error_ptr(png);
  snprintf(source->message, sizeof source->message, "%s", message);
  png_longjmp(png, 1);
}

static void ignore_warning(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

/* All that can jump stands here; what it makes lives in the caller's variables. false: it jumped. */
static bool read_rows(png_structp png, png_infop info, norma_runtime *runtime, struct picture *picture,
                      norma_status *status, norma_error *error) {
  if (setjmp(png_jmpbuf(png))) return false;
  png_read_info(png, info);
  png_set_expand(png);   /* palettes and fewer than 8 bits */
  png_set_scale_16(png); /* to 8 bits, rounded */
  png_set_strip_alpha(png);
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  int channels = png_get_channels(png, info);
  *status = picture_allocate(runtime, picture, png_get_image_width(png, info), png_get_image_height(png, info),
                             channels, error);
  if (*status != NORMA_OK) return true;
  size_t stride = picture->width * (size_t)channels;
  if (png_get_rowbytes(png, info) != stride || (channels != 1 && channels != 3)) png_error(png, "an unexpected layout");
  for (int pass = 0; pass < passes; pass++) {
    for (size_t row = 0; row < picture->height; row++) png_read_row(png, picture->pixels + row * stride, NULL);
  }
  png_read_end(png, NULL);
  return true;
}

norma_status picture_decode_png(norma_runtime *runtime, const void *bytes, size_t size, struct picture *picture,
                                norma_error *error) {
  norma_status status = NORMA_OK;
  png_source source = {.bytes = bytes, .left = size};
  png_infop info = NULL;
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, take_error, ignore_warning);
  if (png) info = png_create_info_struct(png);
  if (!info) {
    status = set_error(error, NORMA_ERROR_OUT_OF_MEMORY, "out of memory");
    goto done;
  }
  png_set_read_fn(png, &source, read_bytes);
  png_set_user_limits(png, 65535, 65535);
  if (!read_rows(png, info, runtime, picture, &status, error)) {
    picture_free(picture);
    status = set_error(error, NORMA_ERROR_FORMAT, "damaged PNG picture: %s", source.message);
  }

done:
  png_destroy_read_struct(&png, &info, NULL);
  return status;
}

#else
typedef int picture_png_is_not_built; /* a file must not be empty */
#endif
