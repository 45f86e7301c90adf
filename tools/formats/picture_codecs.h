/* The decoders of tools/formats/picture.c that need a library, each in a file of its own and only where the build
 * has it. */
#ifndef TOOLS_FORMATS_PICTURE_CODECS_H
#define TOOLS_FORMATS_PICTURE_CODECS_H

#include "tools/formats/picture.h"

/* Black pixels. Sizes beyond reason are refused with FORMAT. */
norma_status picture_allocate(norma_runtime *runtime, struct picture *picture, uint64_t width, uint64_t height,
                              int channels, norma_error *error);

norma_status picture_decode_png(norma_runtime *runtime, const void *bytes, size_t size, struct picture *picture,
                                norma_error *error);
norma_status picture_decode_jpeg(norma_runtime *runtime, const void *bytes, size_t size, struct picture *picture,
                                 norma_error *error);

#endif
