//! Keys of maps and scalars.

use std::fmt::Display;

use serde::ser::Impossible;
use serde::{Serialize, Serializer};

use super::{Fields, Left};
use crate::codec::encode::{Line, Out as _, push_bytes, push_float, push_json, push_text};
use crate::codec::instant::Instants;

/// A key of a map: text, or nothing that is taken.
pub(super) struct Name<'f, 'v, 'o> {
    pub(super) fields: &'f mut Fields<'v, 'o>,
}

impl Serializer for Name<'_, '_, '_> {
    type Ok = ();
    type Error = Left;
    type SerializeSeq = Impossible<(), Left>;
    type SerializeTuple = Impossible<(), Left>;
    type SerializeTupleStruct = Impossible<(), Left>;
    type SerializeTupleVariant = Impossible<(), Left>;
    type SerializeMap = Impossible<(), Left>;
    type SerializeStruct = Impossible<(), Left>;
    type SerializeStructVariant = Impossible<(), Left>;

    fn serialize_str(self, key: &str) -> Result<(), Left> {
        self.fields.key(key)
    }

    refused!(
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes none some unit unit_struct
        unit_variant newtype_struct newtype_variant seq tuple tuple_struct tuple_variant map struct
        struct_variant
    );

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Result<(), Left> {
        Err(Left)
    }
}

/// The value of a field, if it is a scalar.
pub(super) struct Scalar<'o> {
    pub(super) line: &'o mut Line,
}

impl Scalar<'_> {
    fn push<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Left> {
        push_json(self.line, value).map_err(|_| Left)
    }
}

impl Serializer for Scalar<'_> {
    type Ok = ();
    type Error = Left;
    type SerializeSeq = Impossible<(), Left>;
    type SerializeTuple = Impossible<(), Left>;
    type SerializeTupleStruct = Impossible<(), Left>;
    type SerializeTupleVariant = Impossible<(), Left>;
    type SerializeMap = Impossible<(), Left>;
    type SerializeStruct = Impossible<(), Left>;
    type SerializeStructVariant = Impossible<(), Left>;

    fn serialize_bool(self, value: bool) -> Result<(), Left> {
        self.push(&value)
    }
    fn serialize_i32(self, value: i32) -> Result<(), Left> {
        self.push(&value)
    }
    fn serialize_i64(self, value: i64) -> Result<(), Left> {
        self.push(&value)
    }
    fn serialize_u32(self, value: u32) -> Result<(), Left> {
        self.push(&value)
    }
    fn serialize_u64(self, value: u64) -> Result<(), Left> {
        self.push(&value)
    }
    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), Left> {
        // JSON has no text for NaN and infinity.
        if !value.is_finite() {
            return Err(Left);
        }
        push_float(self.line, value).map_err(|_| Left)
    }
    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Left> {
        push_text(self.line, value).map_err(|_| Left)
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Left> {
        self.serialize_str(variant)
    }
    fn serialize_none(self) -> Result<(), Left> {
        self.line.put(b"null", 4);
        Ok(())
    }
    fn serialize_unit(self) -> Result<(), Left> {
        self.serialize_none()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Left> {
        value.serialize(self)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Left> {
        value.serialize(self)
    }

    refused!(
        i8 i16 i128 u8 u16 u128 f32 char bytes unit_struct newtype_variant seq tuple tuple_struct
        tuple_variant map struct struct_variant
    );

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Result<(), Left> {
        Err(Left)
    }
}

/// A time that is text, in the form that nearly every time has.
pub(super) struct TimeText<'o> {
    pub(super) instants: &'o mut Instants,
    pub(super) line: &'o mut Line,
}

impl Serializer for TimeText<'_> {
    type Ok = ();
    type Error = Left;
    type SerializeSeq = Impossible<(), Left>;
    type SerializeTuple = Impossible<(), Left>;
    type SerializeTupleStruct = Impossible<(), Left>;
    type SerializeTupleVariant = Impossible<(), Left>;
    type SerializeMap = Impossible<(), Left>;
    type SerializeStruct = Impossible<(), Left>;
    type SerializeStructVariant = Impossible<(), Left>;

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), Left> {
        // What is read so has nothing that would be escaped.
        self.instants.fixed(text.as_bytes()).ok_or(Left)?;
        self.line.put(b"\"", 1);
        push_bytes(self.line, text.as_bytes());
        self.line.put(b"\"", 1);
        Ok(())
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Left> {
        value.serialize(self)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Left> {
        value.serialize(self)
    }
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Left> {
        self.serialize_str(&value.to_string())
    }

    refused!(
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes none unit unit_struct
        unit_variant newtype_variant seq tuple tuple_struct tuple_variant map struct struct_variant
    );
}
