/* TIFF by libtiff 4.5 or later, which reads the file's memory through the functions below and gives the first image as
 * red, green and blue whatever it holds. */
#include "ops/image/image_decoding.h"

#include <stdarg.h>
#include <stdio.h>

#define TIFF_MOST_BYTES ((ptrdiff_t)1 << 30) /* that it may take at a time */

/* Of tiff.h and tiffio.h. */
enum { TIFF_WIDTH = 256, TIFF_LENGTH = 257, TIFF_TOP_LEFT = 1 };

typedef struct tiff_memory {
  const image_decoding *d;
  uint64_t at;
  char reason[100]; /* the first error */
} tiff_memory;

typedef int tiff_handler(void *tiff, void *own, const char *module, const char *format, va_list arguments);

typedef struct tiff_functions {
  void *(*open)(const char *name, const char *mode, void *own, ptrdiff_t (*read)(void *, void *, ptrdiff_t),
                ptrdiff_t (*write)(void *, void *, ptrdiff_t), uint64_t (*seek)(void *, uint64_t, int),
                int (*close)(void *), uint64_t (*size)(void *), int (*map)(void *, void **, uint64_t *),
                void (*unmap)(void *, void *, uint64_t), void *options);
  int (*field)(void *tiff, uint32_t tag, ...);
  int (*read)(void *tiff, uint32_t width, uint32_t height, uint32_t *raster, int orientation, int stop);
  void (*close)(void *tiff);
  void *(*make_options)(void);
  void (*free_options)(void *options);
  void (*limit)(void *options, ptrdiff_t bytes);
  void (*set_error)(void *options, tiff_handler *handler, void *own);
  void (*set_warning)(void *options, tiff_handler *handler, void *own);
} tiff_functions;

static const image_symbol tiff_symbols[] = {
    {"TIFFClientOpenExt", offsetof(tiff_functions, open)},
    {"TIFFGetField", offsetof(tiff_functions, field)},
    {"TIFFReadRGBAImageOriented", offsetof(tiff_functions, read)},
    {"TIFFClose", offsetof(tiff_functions, close)},
    {"TIFFOpenOptionsAlloc", offsetof(tiff_functions, make_options)},
    {"TIFFOpenOptionsFree", offsetof(tiff_functions, free_options)},
    {"TIFFOpenOptionsSetMaxSingleMemAlloc", offsetof(tiff_functions, limit)},
    {"TIFFOpenOptionsSetErrorHandlerExtR", offsetof(tiff_functions, set_error)},
    {"TIFFOpenOptionsSetWarningHandlerExtR", offsetof(tiff_functions, set_warning)},
    {0},
};

static ptrdiff_t tiff_read(void *own, void *to, ptrdiff_t count) {
  tiff_memory *file = own;
  const uint64_t left = file->at < file->d->size ? file->d->size - file->at : 0;
  const size_t some = count < 0 ? 0 : (uint64_t)count < left ? (size_t)count : (size_t)left;
  if (some > 0) memcpy(to, file->d->bytes + file->at, some);
  file->at += some;
  return (ptrdiff_t)some;
}

static ptrdiff_t tiff_write(void *own, void *from, ptrdiff_t count) {
  (void)own, (void)from, (void)count;
  return -1;
}

static uint64_t tiff_seek(void *own, uint64_t offset, int from) {
  tiff_memory *file = own;
  file->at = from == SEEK_CUR ? file->at + offset : from == SEEK_END ? file->d->size + offset : offset;
  return file->at;
}

static int tiff_close(void *own) {
  (void)own;
  return 0;
}

static uint64_t tiff_size(void *own) {
  return ((tiff_memory *)own)->d->size;
}

static int tiff_map(void *own, void **base, uint64_t *size) {
  (void)own, (void)base, (void)size;
  return 0;
}

static void tiff_unmap(void *own, void *base, uint64_t size) {
  (void)own, (void)base, (void)size;
}

/* 1: nobody else needs to hear of it. */
static int tiff_note(void *tiff, void *own, const char *module, const char *format, va_list arguments) {
  tiff_memory *file = own;
  (void)tiff, (void)module;
  if (!*file->reason) vsnprintf(file->reason, sizeof file->reason, format, arguments);
  return 1;
}

static int tiff_ignore(void *tiff, void *own, const char *module, const char *format, va_list arguments) {
  (void)tiff, (void)own, (void)module, (void)format, (void)arguments;
  return 1;
}

static norma_status tiff_decode(image_decoding *d, const tiff_functions *functions, const tiff_memory *file,
                                void *tiff) {
  uint32_t width = 0, height = 0;
  void *raster;
  if (!functions->field(tiff, TIFF_WIDTH, &width) || !functions->field(tiff, TIFF_LENGTH, &height))
    return image_fail(d, "it has no size");
  TRY(image_begin(d, width, height));
  const int64_t pixels = d->width * d->height;
  TRY(run_allocate_temporary(d->context, (size_t)pixels * sizeof(uint32_t), &raster));
  if (!functions->read(tiff, width, height, raster, TIFF_TOP_LEFT, 1)) return image_fail(d, "%s", file->reason);
  for (int64_t i = 0; i < pixels; i++)
    for (int c = 0; c < 3; c++) d->pixels[3 * i + c] = (uint8_t)(((const uint32_t *)raster)[i] >> 8 * c);
  return NORMA_OK;
}

norma_status image_decode_tiff(image_decoding *d) {
  static const char *const names[] = {"libtiff.so.6", "libtiff.so", "libtiff.dylib", NULL};
  tiff_functions functions;
  tiff_memory file = {.d = d};
  TRY(image_library_open(d, "TIFF", names, tiff_symbols, &functions));
  void *options = functions.make_options();
  if (!options) return run_fail(d->context, NORMA_ERROR_OUT_OF_MEMORY, "no memory for a decoder");
  functions.limit(options, TIFF_MOST_BYTES);
  functions.set_error(options, tiff_note, &file);
  functions.set_warning(options, tiff_ignore, NULL);
  void *tiff = functions.open("image", "rm", &file, tiff_read, tiff_write, tiff_seek, tiff_close, tiff_size, tiff_map,
                              tiff_unmap, options);
  functions.free_options(options);
  if (!tiff) return image_fail(d, "%s", file.reason);
  const norma_status status = tiff_decode(d, &functions, &file, tiff);
  functions.close(tiff);
  return status;
}
