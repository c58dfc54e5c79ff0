# SPDX-License-Identifier: Apache-2.0
"""Vectors of real weights: f32 against sentence-transformers (tests/data), the reduced
precisions against f32 over texts of many scripts.

MF_EMBED_PROBE is the path of the program built from tests/lib/embed_probe.c. The weights are
those of all-MiniLM-L6-v2 in MEMFUSE_TEST_MODEL, else in models/all-MiniLM-L6-v2.
MF_QUALITY_TEXTS (default 1200): how many texts are made up.
"""
import array
import hashlib
import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROBE = os.environ.get("MF_EMBED_PROBE")
MODEL = Path(os.environ.get("MEMFUSE_TEST_MODEL") or ROOT / "models" / "all-MiniLM-L6-v2")
REFERENCE = json.loads((ROOT / "tests" / "data" / "minilm_reference.json").read_text("utf-8"))
N_GENERATED = int(os.environ.get("MF_QUALITY_TEXTS", "1200"))
N_DEBIAN = 100
LINE = 8  # words of a generated text at most; one in 40 has ten times as many

needs_model = pytest.mark.skipif(
    not (MODEL / "model.safetensors").exists(),
    reason=f"no model: run `make model`, or set MEMFUSE_TEST_MODEL ({MODEL} is not there)")
pytestmark = [needs_model, pytest.mark.skipif(PROBE is None, reason="MF_EMBED_PROBE is not set")]

# Words of one language a line, so that a text is of one script as a rule.
WORDS = [line.split() for line in """
the garden morning letter forgot yesterday seven bicycle kitchen because they never window should bring warm quickly
der Garten Morgen Brief gestern vergessen Fahrrad Küche weil niemals Fenster können warm schnell Straße über größer
le jardin matin lettre hier oublié vélo cuisine parce jamais fenêtre devrait chaud vite être déjà où français leçon
el jardín mañana carta ayer olvidó bicicleta cocina porque nunca ventana debería caliente rápido niño señor corazón
il giardino mattina lettera ieri dimenticato bicicletta cucina perché mai finestra dovrebbe caldo presto città più
o jardim manhã carta ontem esqueceu bicicleta cozinha porque nunca janela deveria quente rápido coração não amanhã
de tuin ochtend brief gisteren vergeten fiets keuken omdat nooit raam zou warm snel huis straat kinderen wij
ogród poranek list wczoraj zapomniał rower kuchnia ponieważ nigdy okno powinien ciepły szybko źródło łąka żółty
trädgård morgon brev igår glömde cykel kök därför aldrig fönster borde varm snabbt människor också mycket hus
puutarha aamu kirje eilen unohti polkupyörä keittiö koska koskaan ikkuna pitäisi lämmin nopeasti talo järvi metsä
kert reggel levél tegnap elfelejtett kerékpár konyha mert soha ablak kellene meleg gyorsan ház őszi út gyümölcs
zahrada ráno dopis včera zapomněl kolo kuchyně protože nikdy okno měl teplý rychle dům příliš žluťoučký kůň
bahçe sabah mektup dün unuttu bisiklet mutfak çünkü asla pencere gerekir sıcak hızlı ev şehir güzel öğretmen
vườn buổi sáng bức thư hôm qua quên xe đạp nhà bếp bởi vì không bao giờ cửa sổ nên ấm nhanh đường phố
сад утро письмо вчера забыл велосипед кухня потому никогда окно должен тёплый быстро дом улица ребёнок объект
сад ранок лист вчора забув велосипед кухня тому ніколи вікно повинен теплий швидко дім вулиця їжак ґанок
κήπος πρωί γράμμα χθες ξέχασε ποδήλατο κουζίνα επειδή ποτέ παράθυρο πρέπει ζεστό γρήγορα σπίτι δρόμος άνθρωπος
גינה בוקר מכתב אתמול שכח אופניים מטבח בגלל לעולם חלון צריך חם מהר בית רחוב ילד שלום
حديقة صباح رسالة أمس نسي دراجة مطبخ لأن أبدا نافذة يجب دافئ بسرعة بيت شارع طفل مدرسة
باغ صبح نامه دیروز فراموش دوچرخه آشپزخانه زیرا هرگز پنجره باید گرم سریع خانه خیابان کودک می‌خواهم
बगीचा सुबह पत्र कल भूल साइकिल रसोई क्योंकि कभी खिड़की चाहिए गरम जल्दी घर सड़क बच्चा विद्यालय
বাগান সকাল চিঠি গতকাল ভুলে সাইকেল রান্নাঘর কারণ কখনও জানালা উচিত গরম দ্রুত বাড়ি রাস্তা শিশু
தோட்டம் காலை கடிதம் நேற்று மறந்து மிதிவண்டி சமையலறை ஏனெனில் ஒருபோதும் ஜன்னல் வேண்டும் சூடான வேகமாக வீடு
తోట ఉదయం లేఖ నిన్న మర్చిపోయాడు సైకిల్ వంటగది ఎందుకంటే ఎప్పుడూ కిటికీ వెచ్చని త్వరగా ఇల్లు వీధి
สวน เช้า จดหมาย เมื่อวาน ลืม จักรยาน ครัว เพราะ ไม่เคย หน้าต่าง ควร อบอุ่น เร็ว บ้าน ถนน เด็ก
ბაღი დილა წერილი გუშინ დაავიწყდა ველოსიპედი სამზარეულო რადგან არასოდეს ფანჯარა უნდა თბილი სწრაფად სახლი
պարտեզ առավոտ նամակ երեկ մոռացավ հեծանիվ խոհանոց որովհետև երբեք պատուհան պետք տաք արագ տուն փողոց
አትክልት ጠዋት ደብዳቤ ትናንት ረሳ ብስክሌት ወጥ ቤት ምክንያቱም መስኮት ሞቃት ፈጣን ቤት መንገድ ልጅ
花园 早晨 信 昨天 忘记 自行车 厨房 因为 从不 窗户 应该 温暖 很快 房子 街道 孩子 我们 他们 去年
庭 朝 手紙 昨日 忘れた 自転車 台所 なぜなら けっして 窓 べき 暖かい はやく 家 通り こども テレビ コーヒー
정원 아침 편지 어제 잊었다 자전거 부엌 왜냐하면 결코 창문 해야 따뜻한 빨리 집 거리 아이 우리는
if (x == NULL) return -1; for i in range(10): print(f"{i}") int main(void) { } => !important git commit --amend
0 17 3.14159 2,500.00 1e-9 0xFF 12:45 2031-08-17 50% #42 v2.0.1 192.168.0.1 +49-30-1234567 ½ €19.99 §7 ≥
😀 🎉 🍕 👍🏽 ❤️ 🇫🇷 (╯°□°) ¯\\_(ツ)_/¯ :-) <3 ★ → ✓ ™ © ° „quoted“ «so» … — ・
https://example.org/a/b?c=d&e=f user@example.org C:\\temp\\x.txt /usr/share/doc ~/notes.md @someone #topic &amp; <b>
""".strip().split("\n")]
ENDS = ["", "", ".", "?", "!", "...", " :)", "。"]
GLUED = {"花园", "庭", "สวน"}  # first words of the languages that write without spaces


def generated():
    rng = random.Random(2024)
    for i in range(N_GENERATED):
        words = WORDS[i % len(WORDS)]
        n = rng.randint(1, LINE) * (10 if i % 40 == 0 else 1)
        glue = "" if words[0] in GLUED else " "
        text = glue.join(rng.choice(words) for _ in range(n))
        if i % 9 == 0:  # two languages in one text
            text += " " + " ".join(rng.choices(WORDS[rng.randrange(len(WORDS))], k=4))
        yield text + rng.choice(ENDS)


def debian():
    """Descriptions of packages, where apt knows any."""
    if shutil.which("apt-cache") is None:
        return []
    got = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=False).stdout
    found = [line.partition(": ")[2] for line in got.decode("utf-8", "replace").split("\n")
             if line.startswith("Description: ") or line.startswith("Description-en: ")]
    found = sorted(set(found))
    return random.Random(7).sample(found, min(N_DEBIAN, len(found)))


def vectors(precision, texts):
    """({what the probe says of itself}, [vector, ...])"""
    raw = [t.encode() for t in texts]
    data = b"".join(b"%d\n%s" % (len(t), t) for t in raw)
    done = subprocess.run([PROBE, str(MODEL), precision], input=data, capture_output=True,
                          check=False)
    assert done.returncode == 0, done.stderr.decode()
    head, _, rest = done.stdout.partition(b"\n")
    dim = int(head.split()[0])
    row = 8 + 4 * dim
    assert len(rest) == row * len(texts)
    out = []
    for at in range(0, len(rest), row):
        assert rest[at:at + 4] == bytes(4), "a text failed"
        out.append(array.array("f", rest[at + 8:at + row]))
    return head.decode().split(), out


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def cosine(a, b):
    return dot(a, b) / (dot(a, a) * dot(b, b)) ** 0.5


@pytest.fixture(scope="module")
def varied():
    """(texts, their vectors in f32)"""
    texts = list(dict.fromkeys([*generated(), *debian()]))
    assert len(texts) >= 1000
    return texts, vectors("f32", texts)[1]


def lowest(precision, varied):
    """The least cosine to f32, and its text; skipped where the CPU lacks the precision."""
    texts, exact = varied
    head, found = vectors(precision, texts)
    assert head[1].startswith(precision)
    return min((cosine(a, b), text) for a, b, text in zip(found, exact, texts))


def cpu_has(*flags):
    words = Path("/proc/cpuinfo").read_text("utf-8").split()
    return all(f in words for f in flags)


def test_weights_are_those_of_the_table():
    digest = hashlib.sha256((MODEL / "model.safetensors").read_bytes()).hexdigest()
    assert digest == REFERENCE["revision"]


def test_f32_is_equal_to_sentence_transformers():
    texts = [t["text"] for t in REFERENCE["texts"]]
    _, found = vectors("f32", texts)
    assert len(texts) >= 40
    for vector, row in zip(found, REFERENCE["texts"]):
        wanted = array.array("f", bytes.fromhex(row["vector"]))
        assert max(abs(a - b) for a, b in zip(vector, wanted)) <= 1e-5, row["text"]


def test_vectors_do_not_depend_on_the_neighbours(varied):
    texts, exact = varied
    some = random.Random(3).sample(range(len(texts)), 40)
    _, alone = vectors("f32", [texts[i] for i in some])
    for vector, i in zip(alone, some):
        assert max(abs(a - b) for a, b in zip(vector, exact[i])) <= 1e-5, texts[i]


def test_int8_is_near_f32_on_texts_of_every_script(varied):
    least, text = lowest("int8", varied)
    assert least >= 0.995, text


@pytest.mark.skipif(not cpu_has("avx512_bf16"), reason="this CPU has no bf16 dot product")
def test_bf16_is_near_f32_on_texts_of_every_script(varied):
    least, text = lowest("bf16", varied)
    assert least >= 0.9999, text


@pytest.mark.skipif(not cpu_has("avx512_fp16"), reason="this CPU has no fp16 arithmetic")
def test_fp16_is_near_f32_on_texts_of_every_script(varied):
    least, text = lowest("fp16", varied)
    assert least >= 0.9999, text
