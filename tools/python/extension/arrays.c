#include "module.h"

#include <string.h>

/* ----------------------------------------------------------------------------------------------------------- dtypes */

/* Element types that NumPy has itself. */
static const int arrays_own_numbers[NORMA_ELEMENT_TYPE_COUNT] = {
    [NORMA_UNDEFINED] = NPY_NOTYPE,    [NORMA_FLOAT] = NPY_FLOAT32,
    [NORMA_UINT8] = NPY_UINT8,         [NORMA_INT8] = NPY_INT8,
    [NORMA_UINT16] = NPY_UINT16,       [NORMA_INT16] = NPY_INT16,
    [NORMA_INT32] = NPY_INT32,         [NORMA_INT64] = NPY_INT64,
    [NORMA_STRING] = NPY_OBJECT,       [NORMA_BOOL] = NPY_BOOL,
    [NORMA_FLOAT16] = NPY_FLOAT16,     [NORMA_DOUBLE] = NPY_FLOAT64,
    [NORMA_UINT32] = NPY_UINT32,       [NORMA_UINT64] = NPY_UINT64,
    [NORMA_COMPLEX64] = NPY_COMPLEX64, [NORMA_COMPLEX128] = NPY_COMPLEX128,
};

static bool arrays_has_own_dtype(norma_element_type type) {
  return type != NORMA_UNDEFINED && type <= NORMA_COMPLEX128;
}

PyArray_Descr *arrays_dtype(module_state *state, norma_element_type type) {
  if ((unsigned)type >= NORMA_ELEMENT_TYPE_COUNT || type == NORMA_UNDEFINED) {
    PyErr_Format(PyExc_TypeError, "there is no element type %d", (int)type);
    return NULL;
  }
  if (state->dtypes[type]) return state->dtypes[type];
  PyArray_Descr *found = NULL;
  if (arrays_has_own_dtype(type)) {
    found = PyArray_DescrFromType(arrays_own_numbers[type]);
  } else {
    PyObject *given = PyObject_CallFunction(state->find_dtype, "i", (int)type);
    if (!given) return NULL;
    if (!PyArray_DescrConverter(given, &found)) found = NULL;
    Py_DECREF(given);
  }
  state->dtypes[type] = found;
  return found;
}

/* The element type that arrays of this dtype hold; UNDEFINED: none, or one that nobody has asked for yet. */
static norma_element_type arrays_element_type(const module_state *state, const PyArrayObject *array) {
  switch (PyArray_TYPE(array)) {
  case NPY_BOOL:
    return NORMA_BOOL;
  case NPY_BYTE:
    return NORMA_INT8;
  case NPY_UBYTE:
    return NORMA_UINT8;
  case NPY_SHORT:
    return NORMA_INT16;
  case NPY_USHORT:
    return NORMA_UINT16;
  case NPY_INT:
    return NORMA_INT32;
  case NPY_UINT:
    return NORMA_UINT32;
  case NPY_LONG:
    return sizeof(long) == 8 ? NORMA_INT64 : NORMA_INT32;
  case NPY_ULONG:
    return sizeof(long) == 8 ? NORMA_UINT64 : NORMA_UINT32;
  case NPY_LONGLONG:
    return NORMA_INT64;
  case NPY_ULONGLONG:
    return NORMA_UINT64;
  case NPY_HALF:
    return NORMA_FLOAT16;
  case NPY_FLOAT:
    return NORMA_FLOAT;
  case NPY_DOUBLE:
    return NORMA_DOUBLE;
  case NPY_CFLOAT:
    return NORMA_COMPLEX64;
  case NPY_CDOUBLE:
    return NORMA_COMPLEX128;
  case NPY_OBJECT:
  case NPY_STRING:
  case NPY_UNICODE:
    return NORMA_STRING;
  default:
    break;
  }
  const int number = PyArray_TYPE(array);
  for (int type = NORMA_COMPLEX128 + 1; number >= NPY_USERDEF && type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    if (state->dtypes[type] && state->dtypes[type]->type_num == number) return (norma_element_type)type;
  }
  return NORMA_UNDEFINED;
}

/* ------------------------------------------------------------------------------------------------------------ views */

bool arrays_is_packed(norma_element_type type) {
  return norma_element_type_bits(type) < 8;
}

/* Type and shape, without data. */
static void arrays_describe(PyArrayObject *array, norma_element_type type, norma_tensor *tensor) {
  tensor->type = type;
  tensor->rank = PyArray_NDIM(array);
  for (int i = 0; i < tensor->rank; i++) tensor->dims[i] = PyArray_DIM(array, i);
  tensor->data = NULL;
  tensor->size_bytes = 0;
}

static bool arrays_is_behaved(PyArrayObject *array) {
  return PyArray_IS_C_CONTIGUOUS(array) && PyArray_ISALIGNED(array) && PyArray_ISNOTSWAPPED(array) &&
         PyArray_NDIM(array) <= NORMA_MAX_RANK;
}

static void arrays_point(PyArrayObject *array, norma_element_type type, norma_tensor *tensor) {
  arrays_describe(array, type, tensor);
  if (type == NORMA_STRING || arrays_is_packed(type)) return;
  tensor->data = PyArray_DATA(array);
  tensor->size_bytes = (size_t)PyArray_NBYTES(array);
}

bool arrays_view(const module_state *state, PyArrayObject *array, norma_tensor *tensor) {
  const norma_element_type type = arrays_element_type(state, array);
  if (type == NORMA_UNDEFINED || type == NORMA_STRING || arrays_is_packed(type) || !arrays_is_behaved(array)) {
    return false;
  }
  arrays_point(array, type, tensor);
  return true;
}

PyArrayObject *arrays_from_object(module_state *state, PyObject *object, norma_element_type type,
                                  norma_tensor *tensor) {
  PyObject *array = NULL;
  const norma_element_type own =
      PyArray_Check(object) ? arrays_element_type(state, (PyArrayObject *)object) : NORMA_UNDEFINED;
  /* an array of another type than the model wants is refused by the session, which knows how to say so */
  const bool is_agreed =
      !(own != NORMA_UNDEFINED && (own == type || type == NORMA_UNDEFINED || arrays_has_own_dtype(type)));
  if (!is_agreed) {
    Py_INCREF(object);
    array = object;
  } else {
    array = PyObject_CallFunction(state->as_array, "Oi", object, (int)type);
    if (array && !PyArray_Check(array)) {
      PyErr_SetString(PyExc_TypeError, "as_array() has not given an array");
      Py_CLEAR(array);
    }
  }
  if (!array) return NULL;
  if (PyArray_NDIM((PyArrayObject *)array) > NORMA_MAX_RANK) {
    PyErr_Format(PyExc_ValueError, "an array of %d dimensions, at most %d are possible",
                 PyArray_NDIM((PyArrayObject *)array), NORMA_MAX_RANK);
    Py_DECREF(array);
    return NULL;
  }
  if (!arrays_is_behaved((PyArrayObject *)array)) {
    PyObject *copy = PyArray_CheckFromAny(array, NULL, 0, 0,
                                          NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED | NPY_ARRAY_NOTSWAPPED, NULL);
    Py_DECREF(array);
    array = copy;
    if (!array) return NULL;
  }
  norma_element_type held = arrays_element_type(state, (PyArrayObject *)array);
  /* as_array may agree to a type that the dtype does not tell: bits, where ml_dtypes is not installed */
  if (held == NORMA_UNDEFINED || (is_agreed && type != NORMA_UNDEFINED && !arrays_has_own_dtype(type))) held = type;
  arrays_point((PyArrayObject *)array, held, tensor);
  return (PyArrayObject *)array;
}

/* ----------------------------------------------------------------------------------------------------------- packed */

void arrays_pack(const uint8_t *from, int64_t count, norma_element_type type, uint8_t *to) {
  const int bits = norma_element_type_bits(type);
  const unsigned mask = (1u << bits) - 1;
  memset(to, 0, (size_t)((count * bits + 7) / 8));
  for (int64_t i = 0; i < count; i++) {
    const unsigned element = (from[i] & mask) << (i * bits % 8);
    to[i * bits / 8] |= (uint8_t)element;
    if (element > 0xFF) to[i * bits / 8 + 1] |= (uint8_t)(element >> 8);
  }
}

void arrays_unpack(const uint8_t *from, int64_t count, norma_element_type type, bool extends, uint8_t *to) {
  const int bits = norma_element_type_bits(type);
  const unsigned mask = (1u << bits) - 1;
  const unsigned sign = extends && norma_element_type_class(type) == NORMA_CLASS_SIGNED ? 1u << (bits - 1) : 0;
  for (int64_t i = 0; i < count; i++) {
    const int64_t first = i * bits / 8, last = ((i + 1) * bits - 1) / 8;
    const unsigned pair = from[first] | (last > first ? (unsigned)from[last] << 8 : 0);
    const unsigned element = pair >> (i * bits % 8) & mask;
    to[i] = (uint8_t)((element ^ sign) - sign);
  }
}

/* ------------------------------------------------------------------------------------------------------- new arrays */

#define ARRAYS_ALIGNMENT 64

PyArrayObject *arrays_allocate(module_state *state, const norma_tensor *tensor) {
  PyArray_Descr *dtype = arrays_dtype(state, tensor->type);
  if (!dtype) return NULL;
  npy_intp dims[NORMA_MAX_RANK], bytes = (npy_intp)(tensor->size_bytes + ARRAYS_ALIGNMENT);
  for (int i = 0; i < tensor->rank; i++) dims[i] = (npy_intp)tensor->dims[i];
  PyObject *memory = PyArray_SimpleNew(1, &bytes, NPY_UINT8);
  if (!memory) return NULL;
  char *data = PyArray_BYTES((PyArrayObject *)memory);
  data += (ARRAYS_ALIGNMENT - (uintptr_t)data % ARRAYS_ALIGNMENT) % ARRAYS_ALIGNMENT;
  Py_INCREF(dtype);
  PyObject *array = PyArray_NewFromDescr(&PyArray_Type, dtype, tensor->rank, dims, NULL, data, NPY_ARRAY_CARRAY, NULL);
  if (!array) {
    Py_DECREF(memory);
    return NULL;
  }
  if (PyArray_SetBaseObject((PyArrayObject *)array, memory) != 0) Py_CLEAR(array); /* takes `memory` in any case */
  return (PyArrayObject *)array;
}

static PyObject *arrays_copy_strings(const norma_tensor *tensor, PyObject *array) {
  PyObject **elements = PyArray_DATA((PyArrayObject *)array);
  const norma_string *strings = tensor->data;
  const int64_t count = norma_tensor_count(tensor);
  for (int64_t i = 0; i < count; i++) {
    PyObject *text = text_of(strings[i].data, (Py_ssize_t)strings[i].size);
    if (!text) {
      Py_DECREF(array);
      return NULL;
    }
    PyObject *before = elements[i];
    elements[i] = text;
    Py_XDECREF(before);
  }
  return array;
}

PyObject *arrays_copy(module_state *state, const norma_tensor *tensor) {
  PyArray_Descr *dtype = arrays_dtype(state, tensor->type);
  if (!dtype) return NULL;
  npy_intp dims[NORMA_MAX_RANK];
  for (int i = 0; i < tensor->rank; i++) dims[i] = (npy_intp)tensor->dims[i];
  Py_INCREF(dtype);
  PyObject *array = PyArray_NewFromDescr(&PyArray_Type, dtype, tensor->rank, dims, NULL, NULL, 0, NULL);
  if (!array) return NULL;
  if (tensor->type == NORMA_STRING) return arrays_copy_strings(tensor, array);
  if (arrays_is_packed(tensor->type)) {
    arrays_unpack(tensor->data, norma_tensor_count(tensor), tensor->type, dtype->type_num == NPY_INT8,
                  PyArray_DATA((PyArrayObject *)array));
  } else if (tensor->size_bytes > 0) {
    memcpy(PyArray_DATA((PyArrayObject *)array), tensor->data, tensor->size_bytes);
  }
  return array;
}
