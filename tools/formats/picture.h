/* Pictures from files (PNG, JPEG, PNM), and tensors from pictures. Which formats there are depends on the build. */
#ifndef TOOLS_FORMATS_PICTURE_H
#define TOOLS_FORMATS_PICTURE_H

#include "engine/norma.h"

/* Rows from the top, no padding between them. */
struct picture {
  size_t width, height;
  int channels; /* 1: grey; 3: red, green, blue */
  uint8_t *pixels;
  norma_value *held; /* what the pixels lie in, so that they count against the runtime's budget */
};

/* "png, jpeg, pnm; built without ..." A string literal. */
const char *picture_formats(void);

/* Whether the first bytes are those of a picture format that is known, built or not. */
bool picture_recognise(const void *bytes, size_t size);

/* Decodes. Transparency is ignored, 16-bit samples lose their low bits. Errors: FORMAT, UNSUPPORTED (built without the
 * library), OUT_OF_MEMORY, BUDGET. picture_free is due after NORMA_OK only. */
norma_status picture_decode(norma_runtime *runtime, const void *bytes, size_t size, struct picture *picture,
                            norma_error *error);
void picture_free(struct picture *picture);

/* A tensor for an input declared as `wanted`: of its type (floats: 0 to 1, uint8: 0 to 255) and rank 4 (N, C, H, W or
 * N, H, W, C), 3 or 2; rank -1 is 4. Dimensions that are not fixed come from the picture. Colour becomes grey with the
 * weights 0.299, 0.587 and 0.114; sizes that differ are met by a triangle filter as wide as the pixels that it merges
 * (bilinear where it enlarges). Errors: INPUT when no picture fits such an input. */
norma_status picture_to_tensor(const struct picture *picture, norma_runtime *runtime, const norma_value_info *wanted,
                               norma_value **value, norma_error *error);

#endif
