#include "ops/image/image_decoding.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define IMAGE_MOST_BYTES ((int64_t)1 << 30)

norma_status image_begin(image_decoding *d, int64_t width, int64_t height) {
  void *block;
  d->width = width;
  d->height = height;
  if (width < 1 || height < 1) return image_fail(d, "it has %" PRId64 " x %" PRId64 " pixels", width, height);
  if (width > INT32_MAX || height > INT32_MAX || width > IMAGE_MOST_BYTES / 3 / height)
    return run_fail(d->context, NORMA_ERROR_RUN, "the image has %" PRId64 " x %" PRId64 " pixels, more than 1 GiB",
                    width, height);
  const shape shape = {.rank = 3, .dims = {height, width, d->channels}};
  TRY(run_allocate_output(d->context, 0, NORMA_UINT8, &shape, &d->output));
  if (d->channels == 3) {
    d->pixels = d->output->data;
    return NORMA_OK;
  }
  TRY(run_allocate_temporary(d->context, (size_t)(width * height * 3), &block));
  d->pixels = block;
  return NORMA_OK;
}

norma_status image_reserve(const image_decoding *d, uint64_t count, uint64_t bytes) {
  size_t all;
  void *block;
  if (!size_multiply((size_t)count, (size_t)bytes, &all))
    return run_fail(d->context, NORMA_ERROR_BUDGET, "the image needs too much memory");
  return run_allocate_temporary(d->context, all, &block);
}

norma_status image_fail(image_decoding *d, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(d->reason, sizeof d->reason, format, arguments);
  va_end(arguments);
  d->is_broken = true;
  return NORMA_ERROR_RUN;
}

norma_status image_library_open(const image_decoding *d, const char *format, const char *const *names,
                                const image_symbol *symbols, void *functions) {
  void *library = NULL;
#ifndef __EMSCRIPTEN__
  for (int i = 0; names[i] && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
#endif
  if (!library)
    return run_fail(d->context, NORMA_ERROR_UNSUPPORTED, "%s images need the library %s, which is not there", format,
                    names[0]);
  norma_status status = NORMA_OK;
  for (int i = 0; symbols[i].name && status == NORMA_OK; i++) {
    void *const symbol = dlsym(library, symbols[i].name);
    if (!symbol) status = run_fail(d->context, NORMA_ERROR_UNSUPPORTED, "%s has no %s", names[0], symbols[i].name);
    memcpy((char *)functions + symbols[i].at, &symbol, sizeof symbol);
  }
  dlclose(library);
  return status;
}
