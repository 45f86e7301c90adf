/* Pictures from files (PNG, JPEG, PNM), and tensors from pictures. Which formats there are depends on the build. */
#ifndef TOOLS_FORMATS_PICTURE_H
#define TOOLS_FORMATS_PICTURE_H

#include "engine/base/memory.h"
#include "engine/base/tensor.h"

/* Rows from the top, no padding between them. */
struct picture {
  size_t width, height;
  int channels; /* 1: grey; 3: red, green, blue */
  uint8_t *pixels;
  memory *memory;
};

/* "png, jpeg, pnm; built without ..." A string literal. */
const char *picture_formats(void);

/* Whether the first bytes are those of a picture format that is known, built or not. */
bool picture_recognise(const void *bytes, size_t size);

/* Decodes. Transparency is ignored, 16-bit samples lose their low bits. Errors: FORMAT, UNSUPPORTED (built without the
 * library), OUT_OF_MEMORY, BUDGET. picture_free is due after NORMA_OK only. */
norma_status picture_decode(memory *account, const void *bytes, size_t size, struct picture *picture,
                            norma_error *error);
void picture_free(struct picture *picture);

/* A tensor of `type` (floats: 0 to 1, uint8: 0 to 255) for an input declared with `wanted`: rank 4 (N, C, H, W or N, H,
 * W, C), 3 or 2. Dimensions that are not fixed come from the picture. Colour becomes grey with the weights 0.299, 0.587
 * and 0.114; sizes that differ are met by a triangle filter as wide as the pixels that it merges (bilinear where it
 * enlarges). Errors: INPUT when no picture fits such an input. */
norma_status picture_to_tensor(const struct picture *picture, memory *account, norma_element_type type,
                               const shape *wanted, value *into, norma_error *error);

#endif
