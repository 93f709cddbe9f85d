//! Methods of a serializer for kinds of values that it does not take.

/// Methods of a [`Serializer`](serde::Serializer) that leave their value to the general way: `refused!(bool i8 … struct_variant)`.
macro_rules! refused {
    ($($kind:ident)*) => { $(refused!(@ $kind);)* };
    (@ bool) => { refused!(# serialize_bool bool); };
    (@ i8) => { refused!(# serialize_i8 i8); };
    (@ i16) => { refused!(# serialize_i16 i16); };
    (@ i32) => { refused!(# serialize_i32 i32); };
    (@ i64) => { refused!(# serialize_i64 i64); };
    (@ i128) => { refused!(# serialize_i128 i128); };
    (@ u8) => { refused!(# serialize_u8 u8); };
    (@ u16) => { refused!(# serialize_u16 u16); };
    (@ u32) => { refused!(# serialize_u32 u32); };
    (@ u64) => { refused!(# serialize_u64 u64); };
    (@ u128) => { refused!(# serialize_u128 u128); };
    (@ f32) => { refused!(# serialize_f32 f32); };
    (@ f64) => { refused!(# serialize_f64 f64); };
    (@ char) => { refused!(# serialize_char char); };
    (@ str) => { refused!(# serialize_str &str); };
    (@ bytes) => { refused!(# serialize_bytes &[u8]); };
    (# $name:ident $of:ty) => {
        fn $name(self, _: $of) -> Result<(), Left> {
            Err(Left)
        }
    };
    (@ none) => {
        fn serialize_none(self) -> Result<(), Left> {
            Err(Left)
        }
    };
    (@ unit) => {
        fn serialize_unit(self) -> Result<(), Left> {
            Err(Left)
        }
    };
    (@ unit_struct) => {
        fn serialize_unit_struct(self, _: &'static str) -> Result<(), Left> {
            Err(Left)
        }
    };
    (@ unit_variant) => {
        fn serialize_unit_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
        ) -> Result<(), Left> {
            Err(Left)
        }
    };
    (@ some) => {
        fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Left> {
            Err(Left)
        }
    };
    (@ newtype_struct) => {
        fn serialize_newtype_struct<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            _: &T,
        ) -> Result<(), Left> {
            Err(Left)
        }
    };
    (@ newtype_variant) => {
        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<(), Left> {
            Err(Left)
        }
    };
    (@ seq) => {
        fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Left> {
            Err(Left)
        }
    };
    (@ tuple) => {
        fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Left> {
            Err(Left)
        }
    };
    (@ tuple_struct) => {
        fn serialize_tuple_struct(
            self,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleStruct, Left> {
            Err(Left)
        }
    };
    (@ tuple_variant) => {
        fn serialize_tuple_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleVariant, Left> {
            Err(Left)
        }
    };
    (@ map) => {
        fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Left> {
            Err(Left)
        }
    };
    (@ struct) => {
        fn serialize_struct(
            self,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeStruct, Left> {
            Err(Left)
        }
    };
    (@ struct_variant) => {
        fn serialize_struct_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeStructVariant, Left> {
            Err(Left)
        }
    };
}
