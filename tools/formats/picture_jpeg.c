/* JPEG through libjpeg: grey and colour; CMYK is refused. */
#include "tools/formats/picture_codecs.h"

#ifdef NORMA_HAVE_JPEG

#include "tools/formats/file_error.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

typedef struct jpeg_failure {
  struct jpeg_error_mgr manager; /* first: libjpeg knows the pointer to it */
  jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
} jpeg_failure;

static void take_error(j_common_ptr decoder) {
  jpeg_failure *failure = (jpeg_failure *)decoder->err;
  decoder->err->format_message(decoder, failure->message);
  longjmp(failure->jump, 1);
}

/* Level -1 is a warning. Missing data, which libjpeg would paper over with grey, are an error here. */
static void take_message(j_common_ptr decoder, int level) {
  int code = decoder->err->msg_code;
  if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) take_error(decoder);
}

/* All that can jump stands here; what it makes lives in the caller's variables. false: it jumped. */
static bool read_rows(struct jpeg_decompress_struct *decoder, jpeg_failure *failure, const void *bytes, size_t size,
                      norma_runtime *runtime, struct picture *picture, norma_status *status, norma_error *error) {
  if (setjmp(failure->jump)) return false;
  jpeg_create_decompress(decoder);
  jpeg_mem_src(decoder, bytes, (unsigned long)size);
  jpeg_read_header(decoder, TRUE);
  if (decoder->num_components != 1 && decoder->num_components != 3) {
    *status =
        set_error(error, NORMA_ERROR_UNSUPPORTED,
                  "JPEG pictures with %d components are not read; expected grey or colour", decoder->num_components);
    return true;
  }
  decoder->out_color_space = decoder->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_start_decompress(decoder);
  *status = picture_allocate(runtime, picture, decoder->output_width, decoder->output_height,
                             decoder->output_components, error);
  if (*status != NORMA_OK) return true;
  size_t stride = picture->width * (size_t)picture->channels;
  while (decoder->output_scanline < decoder->output_height) {
    JSAMPROW row = picture->pixels + decoder->output_scanline * stride;
    jpeg_read_scanlines(decoder, &row, 1);
  }
  jpeg_finish_decompress(decoder);
  return true;
}

norma_status picture_decode_jpeg(norma_runtime *runtime, const void *bytes, size_t size, struct picture *picture,
                                 norma_error *error) {
  norma_status status = NORMA_OK;
  struct jpeg_decompress_struct decoder;
  jpeg_failure failure;
  memset(&decoder, 0, sizeof decoder);
  memset(&failure, 0, sizeof failure);
  decoder.err = jpeg_std_error(&failure.manager);
  failure.manager.error_exit = take_error;
  failure.manager.emit_message = take_message;
  if (!read_rows(&decoder, &failure, bytes, size, runtime, picture, &status, error)) {
    picture_free(picture);
    status = set_error(error, NORMA_ERROR_FORMAT, "damaged JPEG picture: %s", failure.message);
  }
  jpeg_destroy_decompress(&decoder);
  return status;
}

#else
typedef int picture_jpeg_is_not_built; /* a file must not be empty */
#endif
